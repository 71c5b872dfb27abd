/** Typed access to config.json. Every error names the field, its value and the rule. */
import { UserError } from '../user-error.ts';

export class Field {
  /** Path of the object for messages: `process.user`. */
  readonly name: string;
  private readonly value: Record<string, unknown>;
  /** What the user should know although nothing is wrong enough to stop; shared by all fields of a file. */
  readonly warnings: string[];

  private constructor(name: string, value: Record<string, unknown>, warnings: string[]) {
    this.name = name;
    this.value = value;
    this.warnings = warnings;
  }

  static root(value: unknown): Field {
    return Field.of('', value, []);
  }

  private static of(name: string, value: unknown, warnings: string[]): Field {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new UserError(`config.json: ${name || 'top level'} ${show(value)}: must be an object`);
    }
    return new Field(name, value as Record<string, unknown>, warnings);
  }

  private path(key: string): string {
    return this.name === '' ? key : `${this.name}.${key}`;
  }

  bad(key: string, rule: string): never {
    throw new UserError(`config.json: ${this.path(key)} ${show(this.value[key])}: ${rule}`);
  }

  warn(key: string, what: string): void {
    this.warnings.push(`config.json: ${this.path(key)} ${show(this.value[key])}: ${what}`);
  }

  /**
   * Names fields outside `keys` in a warning. They are no error: "Runtimes … MUST NOT generate an error if they encounter
   * an unknown property" (runtime-spec, Extensibility).
   */
  only(keys: readonly string[]): void {
    for (const [key, value] of Object.entries(this.value)) {
      if (!keys.includes(key) && !isEmpty(value)) this.warn(key, 'unknown field, ignored');
    }
  }

  /** Fields that other systems or machines have: a container that needs them must not run without. */
  refuse(keys: readonly string[], rule: string): void {
    for (const key of keys) if (!isEmpty(this.value[key])) this.bad(key, rule);
  }

  /** Fields that have no effect in a sandbox. */
  ignore(keys: readonly string[], why: string): void {
    for (const key of keys) if (!isEmpty(this.value[key])) this.warn(key, why);
  }

  has(key: string): boolean {
    return this.value[key] !== undefined && this.value[key] !== null;
  }

  string(key: string): string {
    const v = this.value[key];
    if (typeof v !== 'string' || v === '') this.bad(key, 'must be a non-empty string');
    if (v.includes('\0')) this.bad(key, 'must not contain a NUL byte');
    return v;
  }

  optionalString(key: string): string | null {
    if (!this.has(key) || this.value[key] === '') return null;
    return this.string(key);
  }

  boolean(key: string, missing: boolean): boolean {
    if (!this.has(key)) return missing;
    const v = this.value[key];
    if (typeof v !== 'boolean') this.bad(key, 'must be true or false');
    return v;
  }

  /** Integer in [min, max]. */
  integer(key: string, missing: number, min: number, max: number): number {
    if (!this.has(key)) return missing;
    const v = this.value[key];
    if (typeof v !== 'number' || !Number.isInteger(v) || v < min || v > max) {
      this.bad(key, `must be an integer from ${min} to ${max}`);
    }
    return v;
  }

  private array(key: string): unknown[] {
    if (!this.has(key)) return [];
    const v = this.value[key];
    if (!Array.isArray(v)) this.bad(key, 'must be an array');
    return v as unknown[];
  }

  strings(key: string): string[] {
    return this.array(key).map((v, i) => {
      if (typeof v !== 'string')
        throw new UserError(`config.json: ${this.path(key)}[${i}] ${show(v)}: must be a string`);
      if (v.includes('\0'))
        throw new UserError(`config.json: ${this.path(key)}[${i}] ${show(v)}: must not contain a NUL byte`);
      return v;
    });
  }

  integers(key: string, min: number, max: number): number[] {
    return this.array(key).map((v, i) => {
      if (typeof v !== 'number' || !Number.isInteger(v) || v < min || v > max) {
        throw new UserError(
          `config.json: ${this.path(key)}[${i}] ${show(v)}: must be an integer from ${min} to ${max}`,
        );
      }
      return v;
    });
  }

  keys(): string[] {
    return Object.keys(this.value);
  }

  /** The value as it is, for whoever checks it elsewhere. */
  raw(key: string): unknown {
    return this.value[key];
  }

  stringMap(key: string): Record<string, string> {
    if (!this.has(key)) return {};
    const map = this.object(key);
    return Object.fromEntries(map.keys().map((k) => [k, map.optionalString(k) ?? '']));
  }

  object(key: string): Field {
    return Field.of(this.path(key), this.value[key], this.warnings);
  }

  optionalObject(key: string): Field | null {
    return this.has(key) ? this.object(key) : null;
  }

  objects(key: string): Field[] {
    return this.array(key).map((v, i) => Field.of(`${this.path(key)}[${i}]`, v, this.warnings));
  }
}

function show(value: unknown): string {
  const text = value === undefined ? '(missing)' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === '' || value === false || value === 0) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
