# needs: npm
# seconds: 120
export npm_config_cache=$PWD/cache npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false npm_config_offline=true
mkdir dep lib app; echo '{"name":"dep","version":"1.2.3","main":"i.js","bin":{"depbin":"b.js"}}' > dep/package.json; echo 'module.exports = (x) => x * 2;' > dep/i.js; printf '#!/usr/bin/env node\nconsole.log("bin", process.argv[2]);\n' > dep/b.js
(cd dep; npm pack --silent); echo "{\"name\":\"lib\",\"version\":\"2.0.0\",\"main\":\"i.js\",\"dependencies\":{\"dep\":\"file:$PWD/dep/dep-1.2.3.tgz\"},\"scripts\":{\"install\":\"echo built > built\"}}" > lib/package.json; echo 'module.exports = require("dep")(21);' > lib/i.js; (cd lib; npm pack --silent)
cd app; npm init -y > /dev/null; npm install --silent ../lib/lib-2.0.0.tgz ../dep/dep-1.2.3.tgz; echo $?; ls node_modules; node -p 'require("lib")'; npx --offline depbin x; npm pkg set scripts.t='echo script $npm_package_name' ; npm run --silent t; npm ls 2>/dev/null | tail -n +2; cat node_modules/lib/built; rm -rf node_modules; npm ci --silent; echo $?; ls node_modules
