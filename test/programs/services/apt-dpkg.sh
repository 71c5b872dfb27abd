# needs: apt-ftparchive dpkg-scanpackages
# seconds: 120
mkdir -p r/DEBIAN r/usr/bin q/DEBIAN q/etc repo; printf 'Package: hello-x\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b>\nDepends: hello-y\nDescription: x\n' > r/DEBIAN/control; printf '#!/bin/sh\necho hello from x; cat /etc/hello-y\n' > r/usr/bin/hello-x; chmod 755 r/usr/bin/hello-x
printf '#!/bin/sh\nset -e\necho postinst $1\n' > r/DEBIAN/postinst; chmod 755 r/DEBIAN/postinst
printf 'Package: hello-y\nVersion: 2.0\nArchitecture: all\nMaintainer: a <a@b>\nDescription: y\n' > q/DEBIAN/control; echo conf > q/etc/hello-y; echo /etc/hello-y > q/DEBIAN/conffiles
for d in r q; do dpkg-deb --root-owner-group -b $d repo > /dev/null; done; ls repo; (cd repo; dpkg-scanpackages . /dev/null 2>/dev/null > Packages; gzip -k Packages; apt-ftparchive release . > Release)
python3 -m http.server -b 127.0.0.1 -d repo 8094 > /dev/null 2>&1 & p=$!; for i in $(seq 100); do curl -s -o /dev/null http://127.0.0.1:8094/ && break; sleep 0.1; done
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*; echo "deb [trusted=yes] http://127.0.0.1:8094 ./" > /etc/apt/sources.list
apt-get -qq -o Acquire::http::Proxy=false -o Acquire::Languages=none update; echo update $?
DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Acquire::http::Proxy=false -o Dpkg::Use-Pty=0 install hello-x < /dev/null 2>&1 | grep -E 'Setting|postinst|Unpacking'; echo $?; hello-x; dpkg -s hello-x | grep Status; dpkg -L hello-y | tail -1
DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=1 remove --purge hello-y < /dev/null 2>&1 | tr -d '\r' | grep -aoE 'Removing hello-. \([0-9.]+\)|Purging.*hello-y' ; dpkg -l 'hello-*' 2>/dev/null | grep -c ^ii; dpkg -i repo/hello-y_2.0_all.deb | grep Setting; dpkg -r hello-y > /dev/null; dpkg -P hello-y | tail -1; dpkg --audit; echo audit $?; kill $p; wait $p 2>/dev/null; echo end
