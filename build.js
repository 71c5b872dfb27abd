#!/usr/bin/env node
// Builds dist/: the executable runsc-ts, the bundles of sentry and gofer, and the native parts, side by side.
import { execFileSync } from 'node:child_process';
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

// Headers that the native parts share with TypeScript.
const { outputFiles } = await build({
  entryPoints: [`${root}/platform-ptrace/seccomp/native-headers.ts`],
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'node',
});
const headers = await import(
  `data:text/javascript;base64,${Buffer.from(outputFiles[0].text).toString('base64')}`
);
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
  ['', '-util', '-init', '-gofer', '-zygote', '-lock'].map((part) => `launcher${part}.c`),
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
copyFileSync(`${koffiDir}/${isMusl ? 'musl_x64' : 'linux_x64'}/koffi.node`, `${dist}/koffi.node`);

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  absWorkingDir: root,
  define: { 'import.meta.url': '__bundle_url' },
  banner: { js: "const __bundle_url = require('node:url').pathToFileURL(__filename).href;" },
  external: ['@koromix/koffi-linux-x64'],
  logLevel: 'warning',
};
for (const [entry, outfile] of [
  ['oci-shim/sentry-main.ts', 'sentry.cjs'],
  ['gofer/main.ts', 'gofer.cjs'],
]) {
  if (existsSync(`${root}/${entry}`))
    await build({ ...common, entryPoints: [entry], outfile: `dist/${outfile}` });
}
const docs = await build({ ...common, entryPoints: ['syscalls/docs.ts'], write: false });
const docsFile = `${dist}/.docs.cjs`;
writeFileSync(docsFile, docs.outputFiles[0].contents);
writeFileSync(`${dist}/syscalls.json`, JSON.stringify(require(docsFile).syscallDocs()));
rmSync(docsFile);
if (existsSync(`${root}/oci-shim/cli.ts`)) {
  const banner = { js: `#!/usr/bin/env node\n${common.banner.js}` };
  await build({ ...common, banner, entryPoints: ['oci-shim/cli.ts'], outfile: 'dist/runsc-ts.cjs' });
  // No extension: node takes it as CommonJS, because dist/package.json says so.
  renameSync(`${dist}/runsc-ts.cjs`, `${dist}/runsc-ts`);
  chmodSync(`${dist}/runsc-ts`, 0o755);
}
writeFileSync(`${dist}/package.json`, '{ "type": "commonjs" }\n');
