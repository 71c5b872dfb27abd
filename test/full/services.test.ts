// Servers, package managers and other large programs (test/programs/services) in a Debian root with all of them.
import { debianRoot, describePrograms } from '../programs/in-debian-root.ts';
import { servicePackages, services } from '../programs/services.ts';

describePrograms(debianRoot('/var/cache/runsc-ts-test/servers', servicePackages), services);
