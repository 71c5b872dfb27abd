# needs: /usr/lib/postgresql/15/bin/initdb
# seconds: 120
export PATH=$PATH:/usr/lib/postgresql/15/bin
chown postgres . ; rm -rf /tmp/pg; install -d -o postgres /tmp/pg
cat > /tmp/pg/run.sh <<'X'
cd /tmp/pg; initdb -D db -A trust > initdb.log 2>&1; echo initdb $?
pg_ctl -D db -o "-k /tmp/pg -p 5433" -w -l log start > /dev/null; echo start $?
export PGHOST=/tmp/pg PGPORT=5433
createdb bench; pgbench -q -i -s 1 bench > /dev/null 2>&1; echo init $?
pgbench -c 4 -j 2 -t 25 bench 2>&1 | grep -E 'actually|failed'
psql -Atq bench -c "select count(*), sum(abalance) = (select sum(delta) from pgbench_history) from pgbench_accounts"
psql -Atq -h 127.0.0.1 bench <<'S'
create table t(a int primary key, b text); insert into t select i, md5(i::text) from generate_series(1, 5000) i;
select count(distinct b), max(length(b)) from t; create index on t(b); vacuum analyze t;
begin; delete from t where a > 10; rollback; select count(*) from t;
select a from t where b = md5('77');
copy (select * from t order by a limit 3) to stdout;
S
pg_dump bench | grep -c '^COPY'; psql -Atq bench -c "select pg_sleep(100)" & until [ $(psql -Atq bench -c "select count(pg_cancel_backend(pid)) from pg_stat_activity where query like 'select pg_sleep%'") = 1 ]; do sleep 0.1; done; wait $!; echo cancelled $?
pg_ctl -D db -m fast -w stop > /dev/null; echo stop $?; pg_controldata db | grep 'cluster state'; tail -1 log | grep -o 'database system is shut down'
X
su postgres -s /bin/bash -c "PATH=$PATH bash /tmp/pg/run.sh"
