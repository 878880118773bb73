"""`make bench`: every benchmark in turn. Each prints ratios of medians, measured in one run, never a verdict."""

import importlib
import pkgutil
import sys

import tests.benchmarks as package


def main() -> None:
    """Run the benchmarks named on the command line, or all."""
    names = [
        module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_")
    ]
    wanted = sys.argv[1:] or names
    unknown = set(wanted) - set(names)
    if unknown:
        sys.exit(f"no benchmark is called {min(unknown)}; there are: {', '.join(names)}")
    for name in wanted:
        print(f"== {name}", flush=True)
        importlib.import_module(f"tests.benchmarks.{name}").main()


main()
