/**
 * This build as an installed package: a folder with a `node_modules` that holds it and what its examples import, so that
 * programs and the compiler find `warrenmq` as they do at a user's.
 */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { projectRoot } from './project-root.ts'
import { type ProgramResult, runProgram } from './run-program.ts'

/** Where the compiler has written this build: `dist`, or another folder like it. */
export const buildFolder = fileURLToPath(new URL('../..', import.meta.url))

export class LinkedPackage {
  readonly folder: string
  #count = 0

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'warren-package-'))
    const modules = join(this.folder, 'node_modules')
    mkdirSync(join(modules, 'warrenmq'), { recursive: true })
    copyFileSync(join(projectRoot, 'package.json'), join(modules, 'warrenmq', 'package.json'))
    symlinkSync(buildFolder, join(modules, 'warrenmq', 'dist'))
    for (const name of ['@opentelemetry', '@types', 'amqplib']) {
      symlinkSync(join(projectRoot, 'node_modules', name), join(modules, name))
    }
    writeFileSync(join(this.folder, 'package.json'), '{ "type": "module" }')
  }

  /** Compiles a program, strictly, and runs it. The status is that of the compiler when it finds an error. */
  async run(code: string): Promise<ProgramResult> {
    const name = `program-${this.#count++}`
    writeFileSync(join(this.folder, `${name}.ts`), code)
    const compiled = await compile(this.folder, [`${name}.ts`], ['--module', 'nodenext'])
    if (compiled.status !== 0) return compiled
    return runProgram(process.execPath, [join(this.folder, `${name}.js`)], { cwd: this.folder })
  }

  remove(): void {
    rmSync(this.folder, { recursive: true })
  }
}

/** The compiler of this checkout, strict, on files of another folder. */
export function compile(folder: string, files: readonly string[], options: readonly string[]): Promise<ProgramResult> {
  const compiler = join(projectRoot, 'node_modules', '.bin', 'tsc')
  const always = ['--strict', '--target', 'es2023', '--types', 'node', '--pretty', 'false']
  return runProgram(compiler, [...always, ...options, ...files], { cwd: folder })
}
