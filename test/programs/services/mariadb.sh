# needs: mariadbd
# seconds: 120
d=/tmp/my; mkdir -p $d; chown mysql $d
mariadb-install-db --user=mysql --datadir=$d/data > install.log 2>&1; echo install $?
mariadbd --no-defaults --user=mysql --datadir=$d/data --socket=$d/s --port=3307 --pid-file=$d/pid --bind-address=127.0.0.1 > log 2>&1 &
p=$!; for i in $(seq 300); do mariadb-admin --no-defaults -S $d/s ping > /dev/null 2>&1 && break; sleep 0.2; done
m="mariadb --no-defaults -S $d/s -N"
$m -e "create database b; use b; create table t(a int primary key auto_increment, b varchar(50)) engine=innodb; insert into t(b) select md5(seq) from seq_1_to_3000; select count(*), count(distinct b) from t; start transaction; delete from t; rollback; select count(*) from t; create user u@localhost identified by 'p'; grant all on b.* to u@localhost"
mariadb --no-defaults -h 127.0.0.1 -P 3307 -u u -pp -N b -e "select sum(a) from t"
mariadb-slap --no-defaults -S $d/s -c 4 --number-of-queries=200 -a 2>&1 | grep -c Benchmark
mariadb-dump --no-defaults -S $d/s b | grep -c 'INSERT INTO'
mariadb-admin --no-defaults -S $d/s shutdown; wait $p; echo stopped $?; tail -1 log | grep -o 'Shutdown complete'
