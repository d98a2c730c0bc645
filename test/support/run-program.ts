/**
 * Runs programs of other languages for the tests: to the end, within a deadline, with their output; and says, loudly,
 * when one that a test needs is not there.
 *
 * Under CI=true a missing program is a failure. Elsewhere the tests that need it shrink to one that says what was left out.
 */
import { spawn, spawnSync } from 'node:child_process'
import { test } from 'node:test'

export interface ProgramOptions {
  readonly input?: string | Buffer
  readonly msMax?: number
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

export interface ProgramResult {
  /** Null when it was killed for taking too long. */
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

const programMsMax = 180_000

export async function runProgram(
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (bytes: Buffer) => stdout.push(bytes))
  child.stderr.on('data', (bytes: Buffer) => stderr.push(bytes))
  // A program may end before it has read everything.
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.input ?? '')
  const timer = setTimeout(() => child.kill('SIGKILL'), options.msMax ?? programMsMax)
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve(code))
  })
  clearTimeout(timer)
  return { status, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }
}

/** A Python that has pika; Debian's own counts even when another one comes first on the path. */
export function pythonWithPika(): string | null {
  return ['python3', '/usr/bin/python3'].find((python) => works(python, ['-c', 'import pika'])) ?? null
}

/** A Python that has Celery. */
export function pythonWithCelery(): string | null {
  return ['python3', '/usr/bin/python3'].find((python) => works(python, ['-c', 'import celery'])) ?? null
}

/** PHP with php-amqplib. */
export function phpWithAmqplib(): string | null {
  const load = 'exit((@include "PhpAmqpLib/autoload.php") === false ? 1 : 0);'
  return works('php', ['-r', load]) ? 'php' : null
}

export function hasCommands(...commands: string[]): boolean {
  return commands.every((command) => works('sh', ['-c', `command -v ${command}`]))
}

/** In place of the tests that need something which is missing: fails in CI, is loud elsewhere. */
export function leftOut(what: string, debianPackage: string): void {
  void test(`${what}: LEFT OUT, Debian's ${debianPackage} is not installed`, (t) => {
    const sentence = `${what} was NOT tested: install Debian's ${debianPackage} (scripts/install-test-dependencies.sh)`
    if (process.env['CI'] === 'true') throw new Error(sentence)
    console.error(`\n*** ${sentence} ***\n`)
    t.diagnostic(sentence)
  })
}

function works(command: string, args: readonly string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore', timeout: programMsMax }).status === 0
}
