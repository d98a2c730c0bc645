/** What docs/client.md shows compiles against the client's types, and runs against a broker. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { transform } from 'esbuild'
import { blocks, runModule } from '../support/documents.ts'
import { projectRoot } from '../support/project-root.ts'
import { runProgram } from '../support/run-program.ts'
import { broker } from './stage.ts'

const shown = blocks(readFileSync(join(projectRoot, 'docs/client.md'), 'utf8'), 'ts')
const client = new URL('../../src/client/index.js', import.meta.url).href

it('shows programs that compile', { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'warren-documents-'))
  try {
    for (const [index, code] of shown.entries()) writeFileSync(join(folder, `${index}.ts`), code)
    const compilerOptions = {
      noEmit: true,
      rootDir: '/',
      typeRoots: [join(projectRoot, 'node_modules/@types')],
      paths: { 'warrenmq/client': [join(projectRoot, 'src/client/index.ts')] },
    }
    const config = { extends: join(projectRoot, 'tsconfig.json'), compilerOptions, include: ['*.ts'] }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    const { status, stdout } = await runProgram('node', ['node_modules/typescript/bin/tsc', '-p', folder], {
      cwd: projectRoot,
    })
    assert.equal(status, 0, stdout)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

it('shows programs that run', { timeout: 60_000 }, async () => {
  assert.ok(shown.length >= 4)
  for (const code of shown) {
    const { code: script } = await transform(code, { loader: 'ts', format: 'esm' })
    const url = new URL(broker.url)
    const located = script
      .replaceAll(/amqp:\/\/(guest:guest@)?localhost/g, url.href)
      .replace(/(["'])warrenmq\/client\1/, JSON.stringify(client))
    const { code: status, output } = await runModule(located)
    assert.equal(status, 0, `${code}\n${output}`)
    assert.doesNotMatch(output, /Error/)
  }
})
