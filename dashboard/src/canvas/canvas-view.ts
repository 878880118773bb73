/** A canvas that fills its box at the device's resolution and draws at most once per frame. */

export abstract class CanvasView {
  /** CSS pixels. */
  protected width = 0;
  protected height = 0;
  /** Device pixels in a CSS pixel. */
  protected ratio = 1;
  protected readonly context: CanvasRenderingContext2D;
  #frame = 0;
  readonly #sizes: ResizeObserver;
  readonly #scheme = matchMedia("(prefers-color-scheme: dark)");

  constructor(readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("This browser gives no 2D canvas.");
    this.context = context;
    this.#sizes = new ResizeObserver(() => this.#measure());
    this.#sizes.observe(canvas);
    this.#scheme.addEventListener("change", this.restyle);
  }

  /** Draw everything; the context is scaled to CSS pixels and the canvas is clear. */
  protected abstract draw(): void;

  /** Colours or resolution changed: read them again at the next draw. */
  protected abstract forgetStyle(): void;

  restyle = (): void => {
    this.forgetStyle();
    this.invalidate();
  };

  invalidate = (): void => {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(this.#paint);
  };

  dispose(): void {
    cancelAnimationFrame(this.#frame);
    this.#sizes.disconnect();
    this.#scheme.removeEventListener("change", this.restyle);
  }

  #measure(): void {
    const ratio = devicePixelRatio;
    const { clientWidth, clientHeight } = this.canvas;
    if (clientWidth === this.width && clientHeight === this.height && ratio === this.ratio) return;
    if (ratio !== this.ratio) this.forgetStyle();
    this.width = clientWidth;
    this.height = clientHeight;
    this.ratio = ratio;
    // Paint in the same turn: a resized canvas is blank until it is drawn.
    cancelAnimationFrame(this.#frame);
    this.#paint();
  }

  readonly #paint = (): void => {
    this.#frame = 0;
    if (this.width === 0 || this.height === 0) return;
    const width = Math.round(this.width * this.ratio);
    const height = Math.round(this.height * this.ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
    this.draw();
  };
}
