#!/bin/sh
# Makes the files in secrets/ that the compose files read: a token for the senders, a user with a password that is
# asked for, and a password for ClickHouse. What is there already stays.
#
#   sh secrets.sh NAME
set -eu
cd "$(dirname "$0")"
name=${1:?give the name of the first user}
umask 077
mkdir -p secrets
test -s secrets/ingest_tokens || openssl rand -hex 24 > secrets/ingest_tokens
test -s secrets/clickhouse_password || openssl rand -hex 24 > secrets/clickhouse_password
if ! test -s secrets/users; then
  if command -v asgiscope-collector >/dev/null; then
    asgiscope-collector password "$name" > secrets/users
  else
    docker compose build collector
    docker run --rm --interactive --tty asgiscope-collector password "$name" > secrets/users.new
    tail -n 1 secrets/users.new | tr -d '\r' > secrets/users
    rm secrets/users.new
  fi
fi
# Compose mounts these files with the owner and mode that they have here, and the collector runs as user 10001: they are
# readable, in a folder that nobody else on this machine can enter.
chmod 0700 secrets
chmod 0444 secrets/ingest_tokens secrets/users secrets/clickhouse_password
echo "The senders' token: secrets/ingest_tokens (OTEL_EXPORTER_OTLP_HEADERS=\"authorization=Bearer ...\")"
