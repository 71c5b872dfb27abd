/** `runsc-ts features`: what this runtime honours, in the shape of the runtime-spec's features.md. */
import { CAPABILITY_NAMES } from '../../sentry/auth/capability-names.ts';
import { knownMountOptions } from '../spec/mount-options.ts';
import { NAMESPACE_TYPES } from '../spec/namespaces.ts';
import { SPEC_VERSION, VERSION } from '../version.ts';
import { print } from '../output.ts';

export function features() {
  return {
    ociVersionMin: '1.0.0',
    ociVersionMax: SPEC_VERSION,
    hooks: ['prestart', 'createRuntime', 'createContainer', 'startContainer', 'poststart', 'poststop'],
    mountOptions: knownMountOptions(),
    linux: {
      namespaces: [...NAMESPACE_TYPES].sort(),
      capabilities: CAPABILITY_NAMES,
      cgroup: { v1: true, v2: true, systemd: true, systemdUser: false, rdma: true },
      seccomp: {
        enabled: true,
        actions: [
          'SCMP_ACT_ALLOW', 'SCMP_ACT_ERRNO', 'SCMP_ACT_KILL', 'SCMP_ACT_KILL_PROCESS', 'SCMP_ACT_KILL_THREAD',
          'SCMP_ACT_LOG', 'SCMP_ACT_TRACE', 'SCMP_ACT_TRAP',
        ], // prettier-ignore
        operators: [
          'SCMP_CMP_EQ', 'SCMP_CMP_GE', 'SCMP_CMP_GT', 'SCMP_CMP_LE', 'SCMP_CMP_LT', 'SCMP_CMP_MASKED_EQ',
          'SCMP_CMP_NE',
        ], // prettier-ignore
        archs: ['SCMP_ARCH_X86_64'],
      },
      apparmor: { enabled: false },
      selinux: { enabled: false },
      intelRdt: { enabled: false },
      mountExtensions: { idmap: { enabled: true } },
    },
    annotations: { 'dev.runsc-ts.version': VERSION },
  };
}

export function printFeatures(): void {
  print(`${JSON.stringify(features(), null, '\t')}\n`);
}
