#!/usr/bin/env node
// Builds dist/: the executable runsc-ts, the bundles of sentry and gofer, and the native parts, side by side.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  writeFileSync,
  rmSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { build } from 'esbuild';

const root = import.meta.dirname;
const dist = `${root}/dist`;
const native = `${root}/platform-ptrace/native`;
const require = createRequire(import.meta.url);
mkdirSync(dist, { recursive: true });

/** Compiles next to the target and renames, so that a running sandbox keeps its old binary. */
function cc(output, sources, flags) {
  const tmp = `${dist}/.${output}.tmp`;
  execFileSync(
    'cc',
    ['-O2', '-Wall', '-Wextra', '-Werror', '-o', tmp, ...sources.map((s) => `${native}/${s}`), ...flags],
    {
      stdio: 'inherit',
    },
  );
  renameSync(tmp, `${dist}/${output}`);
}

/** A module of the sources, for use here. */
async function load(path) {
  const { outputFiles } = await build({
    entryPoints: [`${root}/${path}`],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].text).toString('base64')}`);
}

// Headers that the native parts share with TypeScript.
const headers = await load('platform-ptrace/seccomp/native-headers.ts');
writeFileSync(`${dist}/stub-layout.h`, headers.layoutHeader());
writeFileSync(`${dist}/guest-filter.h`, headers.filterHeader());

cc(
  'shim.so',
  readdirSync(native).filter((name) => /^shim.*\.c$/.test(name)),
  ['-shared', '-fPIC', `-I${dist}`],
);
cc('zygote-run', ['zygote-run.c'], ['-static', `-I${dist}`]);
cc(
  'launcher',
  ['', '-util', '-init', '-gofer', '-zygote', '-lock', '-network', '-cgroup'].map((part) => `launcher${part}.c`),
  ['-static', `-I${dist}`],
);
const freestanding = ['-static', '-nostdlib', '-ffreestanding', '-Wl,--build-id=none', '-Wl,-z,noexecstack'];
cc(
  'stub',
  ['stub.c'],
  [
    ...freestanding,
    `-I${dist}`,
    '-fno-stack-protector',
    '-fcf-protection=none',
    '-fpie',
    '-no-pie',
    '-mgeneral-regs-only',
    '-fno-asynchronous-unwind-tables',
    `-Wl,-T,${native}/stub.ld`,
  ],
);

const koffiDir = dirname(require.resolve('@koromix/koffi-linux-x64/package.json'));
const isMusl = !process.report.getReport().header.glibcVersionRuntime;
copyFileSync(require.resolve('iced-x86/iced_x86_bg.wasm'), `${dist}/iced_x86_bg.wasm`);
copyFileSync(`${koffiDir}/${isMusl ? 'musl_x64' : 'linux_x64'}/koffi.node`, `${dist}/koffi.node`);

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  absWorkingDir: root,
  define: { 'import.meta.url': '__bundle_url' },
  banner: { js: "const __bundle_url = require('node:url').pathToFileURL(__filename).href;" },
  logLevel: 'warning',
};
/**
 * Runs NAME.js beside itself with V8's code cache NAME.cache: at start most of the time is compilation. A cache that this
 * version of Node does not accept is ignored.
 */
function loader(name) {
  return `'use strict';
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');
const file = require('node:path').join(__dirname, '${name}.js');
const source = readFileSync(file, 'latin1');
let cachedData;
try {
  cachedData = readFileSync(file.slice(0, -2) + 'cache');
} catch {
  // Compiled without.
}
const script = new Script('(function (exports, require, module, __filename, __dirname) {' + source + '\\n})', { filename: file, cachedData });
script.runInThisContext()(exports, require, module, file, __dirname);
`;
}

/** Compiles dist/NAME.js once, running it with `args`, and keeps what V8 made of it under the given flags. */
function writeCodeCache(name, v8Args, args) {
  const program = `
const { readFileSync, writeFileSync } = require('node:fs');
const file = process.argv[1];
const wrapped = '(function (exports, require, module, __filename, __dirname) {' + readFileSync(file, 'latin1') + '\\n})';
const script = new (require('node:vm').Script)(wrapped, { filename: file });
process.on('exit', () => writeFileSync(file.slice(0, -2) + 'cache', script.createCachedData()));
const m = { exports: {} };
script.runInThisContext()(m.exports, require('node:module').createRequire(file), m, file, require('node:path').dirname(file));
`;
  rmSync(`${dist}/${name}.cache`, { force: true });
  spawnSync(process.execPath, [...v8Args, '-e', program, `${dist}/${name}.js`, ...args], {
    stdio: 'ignore',
    timeout: 60_000,
  });
}

await build({ ...common, entryPoints: ['syscalls/docs.ts'], outfile: 'dist/.docs.cjs' });
writeFileSync(`${dist}/syscalls.json`, JSON.stringify(require(`${dist}/.docs.cjs`).syscallDocs()));
rmSync(`${dist}/.docs.cjs`);
const { SENTRY_V8_ARGS, GOFER_V8_ARGS } = await load('platform-ptrace/confine/launcher-protocol.ts');
for (const [entry, name, target, v8Args, args] of [
  ['oci-shim/sentry-main.ts', 'sentry', 'sentry.cjs', SENTRY_V8_ARGS, []],
  ['gofer/main.ts', 'gofer', 'gofer.cjs', GOFER_V8_ARGS, []],
  ['oci-shim/cli.ts', 'cli', 'runsc-ts', [], ['--version']],
]) {
  await build({ ...common, entryPoints: [entry], outfile: `dist/${name}.js` });
  writeCodeCache(name, v8Args, args);
  const shebang = target === 'runsc-ts' ? '#!/usr/bin/env node\n' : '';
  // No extension: node takes runsc-ts as CommonJS, because dist/package.json says so.
  writeFileSync(`${dist}/.${target}.tmp`, shebang + loader(name));
  chmodSync(`${dist}/.${target}.tmp`, 0o755);
  renameSync(`${dist}/.${target}.tmp`, `${dist}/${target}`);
}
writeFileSync(`${dist}/package.json`, '{ "type": "commonjs" }\n');
