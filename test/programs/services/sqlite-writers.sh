# needs: sqlite3
# seconds: 60
sqlite3 a.db "pragma journal_mode=wal; create table t(w int, n int, primary key(w,n));"
for w in 1 2 3 4; do (for n in $(seq 25); do echo "begin immediate; insert into t values($w,$n); commit;"; done | sqlite3 -cmd ".timeout 60000" a.db) & done; wait
sqlite3 a.db "select w, count(*), sum(n) from t group by w; pragma integrity_check; pragma wal_checkpoint(truncate)"; ls
sqlite3 b.db "create table t(a, b); with recursive c(x) as (select 1 union all select x+1 from c where x<20000) insert into t select x, hex(x) from c; create index i on t(b); delete from t where a%3=0; vacuum; select count(*), sum(a) from t; pragma integrity_check"
for m in delete truncate persist memory wal off; do sqlite3 b.db "pragma journal_mode=$m; update t set a=a+1; select sum(a) from t"; done
sqlite3 b.db .dump | sqlite3 c.db; sqlite3 c.db "select count(*) from t"
