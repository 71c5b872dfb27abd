// The complete list of real programs (test/programs/cases.ts) in a Debian root with all of them.
import { cases } from '../programs/cases.ts';
import { debianRoot, describePrograms } from '../programs/in-debian-root.ts';

describePrograms(debianRoot(), cases);
