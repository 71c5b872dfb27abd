/** The file system of one hierarchy of control groups, whichever group a mount of it begins at. */
import type { Cgroup } from '../../kernel/cgroup/cgroup.ts';
import type { Hierarchy } from '../../kernel/cgroup/hierarchy.ts';
import type { Task } from '../../kernel/task.ts';
import type { CallContext } from '../../vfs/call-context.ts';
import type { Dentry } from '../../vfs/dentry.ts';
import { rootDentry } from '../../vfs/mount-namespace.ts';
import { lookupDentry } from '../../vfs/lookup.ts';
import { KernfsSuperBlock } from '../kernfs/super-block.ts';
import { CgroupDir } from './dir.ts';
import type { CgroupFileType } from './file.ts';

const CGROUP_SUPER_MAGIC = 0x27e0eb;
const CGROUP2_SUPER_MAGIC = 0x63677270;

export class CgroupSuperBlock extends KernfsSuperBlock {
  readonly fsType: string;
  readonly magic: number;
  /** Files come and go with controllers. */
  override readonly uncached = true;
  readonly hierarchy: Hierarchy;
  readonly types: readonly CgroupFileType[];
  override readonly root: CgroupDir;
  private readonly byName: Map<string, CgroupFileType>;

  constructor(hierarchy: Hierarchy, types: readonly CgroupFileType[]) {
    super();
    this.fsType = hierarchy.unified ? 'cgroup2' : 'cgroup';
    this.magic = hierarchy.unified ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC;
    this.hierarchy = hierarchy;
    this.types = types;
    this.byName = new Map(types.map((type) => [type.name, type]));
    this.root = new CgroupDir(this, hierarchy.root, 0o755, 0);
  }

  fileType(name: string): CgroupFileType | undefined {
    return this.byName.get(name);
  }

  override options(): string {
    return this.hierarchy.unified ? ',nsdelegate,memory_recursiveprot' : `,${this.hierarchy.label}`;
  }

  /** Where a mount begins that shows `g` and what is below it. */
  dentryOf(g: Cgroup): Dentry | number {
    if (g.parent === null) return rootDentry(this);
    const above = this.dentryOf(g.parent);
    return typeof above === 'number' ? above : lookupDentry(null, above, g.name);
  }

  /** cgroup_show_path() */
  override nameOf(root: Dentry, reader: CallContext): string | null {
    const dir = root.inode;
    const top = (reader as Task).ns.cgroup.root;
    if (!(dir instanceof CgroupDir) || top.all !== this.hierarchy.all) return null;
    return dir.cgroup.pathFrom(top.groupIn(this.hierarchy));
  }

  override release(): void {
    this.hierarchy.all.unmounted(this.hierarchy);
  }
}
