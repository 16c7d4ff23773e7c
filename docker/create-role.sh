#!/bin/sh
# Run once by the postgres image, when its volume is empty: the role that recloop and Airflow log in
# with. It owns their two databases and is nothing else; the superuser's password stays with postgres.
set -eu
psql --set ON_ERROR_STOP=1 --quiet --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\getenv password DATABASE_PASSWORD
create role recloop login password :'password'
    nosuperuser nocreatedb nocreaterole noreplication nobypassrls;
create database recloop owner recloop;
create database airflow owner recloop;
revoke connect on database recloop, airflow from public;
SQL
