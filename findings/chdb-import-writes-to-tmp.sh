#!/usr/bin/env bash
# chDB 26.5.0 (chdb-core-lite): `import chdb` starts an engine in the folder for temporary files. Where nothing can be written
# there, as in a container with a read-only root, the import itself fails, whatever folder the program meant to open.
#
# Expected: importing a database's library opens nothing; an embedded engine keeps its files below the path it is given.
# Seen: with TMPDIR=/proc `import chdb` raises RuntimeError (BAD_ARGUMENTS, from creating clickhouse-embedded-<uuid>); with a
# folder that can be written it passes. The environment is read at the import: os.environ["TMPDIR"], set before, decides.
# (pyarrow, which the import needs later and which weighs as much again, is left out here.)
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --no-deps --disable-pip-version-check \
  chdb-core-lite==26.5.0
cat >"$dir/open.py" <<'PY'
import os
import sys

os.environ["TMPDIR"] = sys.argv[1]
try:
    import chdb  # noqa: F401
except RuntimeError as error:
    print("import refused: RuntimeError, a folder in TMPDIR:", f"{sys.argv[1]}/clickhouse-embedded-" in str(error))
except ImportError as error:
    print("the engine started, the import went on to:", error)
PY
python="$dir/venv/bin/python"
"$python" -c "from importlib.metadata import version; print('chdb-core-lite', version('chdb-core-lite'))"
mkdir "$dir/tmp"
# No process, not even root's, can make a folder in /proc.
seen=$({ "$python" "$dir/open.py" /proc; "$python" "$dir/open.py" "$dir/tmp"; } | grep -E '^(import|the engine)')
echo "$seen"
[ "$seen" = "import refused: RuntimeError, a folder in TMPDIR: True
the engine started, the import went on to: Failed to import pyarrow" ]
