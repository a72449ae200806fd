#!/bin/bash
# Make the database cluster when there is none, give each file in /keys/roles its role and
# database, become the server. A new cell is one more file there.
set -Eeuo pipefail

data=/var/lib/postgresql/17
conf=/etc/benchtop/postgres/postgresql.conf

# initdb works beside the final place: a start that was interrupted leaves nothing half-made.
if [[ ! -s $data/PG_VERSION ]]; then
  rm -rf "$data" "$data.new"
  initdb --pgdata="$data.new" --username=postgres --encoding=UTF8 --locale-provider=builtin --locale=C.UTF-8 \
    --auth-local=peer --auth-host=scram-sha-256 --no-instructions >/dev/null
  mv "$data.new" "$data"
  echo "made an empty database cluster"
fi

# Roles are made before anybody can connect: this server listens on its socket alone.
# A password is read by psql itself, so that no process list shows it, and never logged.
pg_ctl --pgdata="$data" --silent --wait --log=/tmp/roles.log \
  --options="-c config_file=$conf -c listen_addresses= -c log_min_error_statement=panic" start ||
  { cat /tmp/roles.log >&2; exit 1; }
for key in /keys/roles/*; do
  role=$(basename "$key")
  psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=role="$role" --set=key="$key" --dbname=postgres <<'SQL'
\set password `cat "$(printf %s :'key')"`
SELECT format('CREATE ROLE %I LOGIN', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'role', :'role') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'role') \gexec
REVOKE ALL ON DATABASE :"role" FROM PUBLIC;
SQL
done
pg_ctl --pgdata="$data" --silent --wait --mode=fast stop

exec postgres -c config_file="$conf"
