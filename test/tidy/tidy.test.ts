/** The rules of the house (`rules.ts`) held against every source file, and against themselves. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative } from 'node:path'
import { describe, it } from 'node:test'
import { projectRoot } from '../support/project-root.ts'
import {
  type BannedPattern,
  bannedPatterns,
  emptyFileNames,
  fileLinesMax,
  fileLinesRatchet,
  functionLinesMax,
  guardedModulePlaces,
  guardedModules,
  importTable,
  longFunctionsRatchet,
  packageTable,
  testFileLinesMax,
} from './rules.ts'
import { codeOnly, functionsOf, importsOf, lineAt } from './source-text.ts'

interface SourceFile {
  /** From the root of the repository, with `/`. */
  readonly path: string
  readonly text: string
  readonly code: string
}

const files = ['src', 'test', 'bench', 'examples', 'scripts'].flatMap((folder) => sourcesBelow(folder))
const sources = files.filter((file) => file.path.startsWith('src/'))

describe('the source tree', () => {
  it('keeps the import table', () => {
    none(sources.flatMap(forbiddenImports))
  })

  it('reaches files, sockets and the machine only through src/base', () => {
    none(sources.flatMap(forbiddenModules))
  })

  for (const rule of bannedPatterns) {
    it(`has no ${rule.name}`, () => {
      none(files.flatMap((file) => violations(rule, file)))
    })
  }

  it(`has no file above ${fileLinesMax} lines, and no test above ${testFileLinesMax}`, () => {
    none(files.flatMap(fileLength))
  })

  it(`has no function above ${functionLinesMax} lines`, () => {
    none(sources.flatMap(longFunctions))
  })

  it('names every file for one noun', () => {
    none(
      files
        .filter((file) => emptyFileNames.test(file.path) || /[A-Z_]/.test(posix.basename(file.path)))
        .map((file) => `${file.path}: name it for the one thing it exports, in kebab-case`),
    )
  })

  it('says at the head of every source file what it is', () => {
    none(
      sources
        .filter((file) => !file.path.endsWith('.generated.ts') && !file.text.includes('/**'))
        .map((file) => `${file.path}: begin with what it is, what it is not, and its invariant`),
    )
  })
})

describe('the rules themselves', () => {
  it('see through comments, strings and templates', () => {
    const template = ['`d $', '{e({ f: 1 })} g`'].join('')
    const code = codeOnly(`a() // Date.now\n/* b */ 'c' ${template}; /h'/.test(i) "j"`)
    assert.deepEqual(code.match(/[a-z]+/g), ['a', 'e', 'f', 'test', 'i'])
  })

  it('find imports of every form', () => {
    const text =
      "import a from './a.ts'\nimport type {\n  B,\n} from './b.ts'\nexport { c } from './c.ts'\nawait import('./d.ts')\nimport './e.ts'\n"
    const found = importsOf(text).map((entry) => `${entry.specifier}:${entry.line}:${entry.isTypeOnly}`)
    assert.deepEqual(found, ['./a.ts:1:false', './b.ts:2:true', './c.ts:5:false', './d.ts:6:false', './e.ts:7:false'])
  })

  it('measure functions and not the blocks inside them', () => {
    const text = 'class A {\n  b(c: D): Map<E, F> {\n    if (c) {\n      d()\n    }\n  }\n  e = (): void => {\n  }\n}\n'
    assert.deepEqual(
      functionsOf(text).map((entry) => [entry.line, entry.lines.length]),
      [
        [2, 5],
        [7, 2],
      ],
    )
  })

  const slips: Readonly<Record<string, string>> = {
    'Date.now': 'const now = Date.now()',
    setTimeout: 'setTimeout(go, 5)',
    'Math.random': 'Math.random()',
    'process.env': "process.env['PORT']",
    'process.exit': 'process.exit(1)',
    console: 'console.log(1)',
    any: 'function f(x: any) {}',
    'non-null assertion': 'a.b!.c()',
    'compiler silenced': '// @ts-ignore',
    'left-over': '// TODO later',
    'left-over .only or skip': "it.only('x', f)",
    'text taken for markup': 'element.innerHTML = name',
  }
  for (const rule of bannedPatterns) {
    it(`catch a slip: ${rule.name}`, () => {
      const text = slips[rule.name] ?? ''
      const folder = rule.in.includes('src') ? 'src/broker/x.ts' : 'test/x.test.ts'
      assert.equal(violations(rule, { path: folder, text, code: codeOnly(text) }).length, 1)
    })
  }

  it('catch a forbidden import', () => {
    const text = "import { x } from '../server/listener.ts'\nimport { y } from 'zod'\nimport { z } from 'node:fs'\n"
    const file = { path: 'src/broker/x.ts', text, code: codeOnly(text) }
    assert.equal(forbiddenImports(file).length, 2)
    assert.equal(forbiddenModules(file).length, 1)
  })

  it('catch a long file and a long function', () => {
    const text = `function f() {\n${'a()\n'.repeat(fileLinesMax)}}\n`
    const file = { path: 'src/broker/x.ts', text, code: text }
    assert.equal(fileLength(file).length, 1)
    assert.equal(longFunctions(file).length, 1)
  })
})

// ---------------------------------------------------------------- the checks, each a list of sentences

function forbiddenImports(file: SourceFile): string[] {
  const own = roomOf(file.path.slice('src/'.length))
  const allowed = importTable[own]
  if (allowed === undefined)
    return [
      `${file.path}: src/${own} is not in the import table of test/tidy/rules.ts; add it there and to ARCHITECTURE.md`,
    ]
  return importsOf(file.text).flatMap(({ specifier, line }) => {
    if (specifier.startsWith('node:')) return []
    if (specifier.startsWith('.')) {
      const target = posix.join(posix.dirname(file.path), specifier).slice('src/'.length)
      const isAllowed = roomOf(target) === own || allowed.some((place) => isWithin(target, place))
      return isAllowed
        ? []
        : [
            `${file.path}:${line}: src/${own} may not import ${target}; it may import ${allowed.join(', ') || 'nothing'} (ARCHITECTURE.md)`,
          ]
    }
    const places = packageTable[packageOf(specifier)] ?? []
    const isAllowed = places.some((place) => isWithin(file.path.slice('src/'.length), place))
    return isAllowed
      ? []
      : [
          `${file.path}:${line}: package ${specifier} may be loaded only in ${places.map((place) => `src/${place}`).join(', ') || 'no place'}`,
        ]
  })
}

/** `@scope/name/module` → `@scope/name`. */
function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}

function forbiddenModules(file: SourceFile): string[] {
  const path = file.path.slice('src/'.length)
  const allowed = Object.entries(guardedModulePlaces).flatMap(([place, modules]) =>
    isWithin(path, place) ? modules : [],
  )
  return importsOf(file.text)
    .filter(({ specifier }) => guardedModules.test(specifier) && !allowed.includes(specifier))
    .map(
      ({ specifier, line }) =>
        `${file.path}:${line}: ${specifier} only in src/base; take its interface from there (files.ts, network.ts, clock.ts)`,
    )
}

function violations(rule: BannedPattern, file: SourceFile): string[] {
  const isConcerned =
    rule.in.some((place) => isWithin(file.path, place)) && !rule.except.some((place) => isWithin(file.path, place))
  if (!isConcerned || file.path.endsWith('.generated.ts')) return []
  const text = rule.alsoInComments === true ? file.text : file.code
  const pattern = new RegExp(rule.pattern, `g${rule.pattern.flags}`)
  return Array.from(
    text.matchAll(pattern),
    (match) => `${file.path}:${lineAt(text, match.index)}: ${rule.name}; ${rule.instead}`,
  )
}

function fileLength(file: SourceFile): string[] {
  if (file.path.endsWith('.generated.ts')) return []
  const lines = file.text.split('\n').length - 1
  const limit = file.path.startsWith('test/') ? testFileLinesMax : fileLinesMax
  const ratchet = fileLinesRatchet[file.path]
  if (lines > (ratchet ?? limit)) {
    return [`${file.path}: ${lines} lines; look for the second noun hiding in it and give that its own file`]
  }
  if (ratchet === undefined || lines === ratchet) return []
  return [`${file.path}: ${lines} lines now; lower its number in fileLinesRatchet, or take it out below ${limit + 1}`]
}

/** A flat `switch` with one line per case reads well at any length, so it does not count. */
function longFunctions(file: SourceFile): string[] {
  if (file.path.endsWith('.generated.ts')) return []
  const long = functionsOf(file.code).filter(({ lines }) => lines.length > functionLinesMax && !isFlatSwitch(lines))
  const ratchet = longFunctionsRatchet[file.path] ?? 0
  if (long.length > ratchet)
    return long.map(
      ({ line, lines }) =>
        `${file.path}:${line}: a function of ${lines.length} lines; keep the branching here and move straight-line work into leaves`,
    )
  return long.length < ratchet
    ? [`${file.path}: only ${long.length} long functions now; lower its number in longFunctionsRatchet`]
    : []
}

function isFlatSwitch(lines: readonly string[]): boolean {
  const flat = lines.filter((line) => /^\s*(case\b|default:|return\b|break\b|$)/.test(line))
  return flat.length > lines.length * 0.8
}

// ---------------------------------------------------------------- paths

function roomOf(path: string): string {
  return path.split('/')[0] ?? path
}

function isWithin(path: string, place: string): boolean {
  return path === place || path.startsWith(`${place}/`)
}

function none(problems: readonly string[]): void {
  assert.equal(problems.length, 0, `\n${problems.join('\n')}\n`)
}

function sourcesBelow(folder: string): SourceFile[] {
  return readdirSync(join(projectRoot, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(tsx?|mjs)$/.test(entry.name) && !entry.parentPath.includes('node_modules'))
    .map((entry) => {
      const path = join(entry.parentPath, entry.name)
      const text = readFileSync(path, 'utf8')
      return { path: relative(projectRoot, path).split('\\').join('/'), text, code: codeOnly(text) }
    })
}
