#!/bin/sh
# Healthy when each role gets an answer from its own database, by network and with its password.
for key in /keys/roles/*; do
  role=$(basename "$key")
  PGPASSWORD=$(cat "$key") PGCONNECT_TIMEOUT=3 psql --no-psqlrc --no-password --quiet --tuples-only \
    --host=127.0.0.1 --username="$role" --dbname="$role" --command='SELECT 1' >/dev/null || exit 1
done
