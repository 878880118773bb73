import { loadEnv } from "vite";
import { defineConfig } from "vitest/config";

export default defineConfig(({ mode }) => ({
  // Relative, so that the page works under any path prefix a proxy puts before it.
  base: "./",
  build: {
    outDir: "../collector/asgiscope_collector/static",
    emptyOutDir: true,
    // The first browsers with light-dark() in CSS.
    target: ["chrome123", "firefox120", "safari17.5"],
    // The page's content security policy allows neither data: URLs nor inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": loadEnv(mode, ".", "ASGISCOPE_")["ASGISCOPE_COLLECTOR"] ?? "http://127.0.0.1:4318" },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
}));
