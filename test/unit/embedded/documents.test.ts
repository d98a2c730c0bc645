/** What the pages about the embedded broker, about tests and about WebSockets show runs as it stands. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { transform } from 'esbuild'
import { Broker } from '../../../src/index.ts'
import { blocks } from '../../support/documents.ts'
import { projectRoot } from '../../support/project-root.ts'
import { runProgram } from '../../support/run-program.ts'

const require = createRequire(import.meta.url)

const modules = { warrenmq: '../../../src/index.js', 'warrenmq/testing': '../../../src/testing.js' }

for (const [page, count] of [
  ['docs/embedded.md', 1],
  ['docs/testing.md', 3],
  ['docs/websocket.md', 1],
] as const) {
  it(`${page} shows programs that run`, async (test) => {
    const broker = await Broker.start({ storage: 'memory', httpPort: 0 })
    test.after(() => broker.stop())
    const shown = blocks(readFileSync(join(projectRoot, page), 'utf8'), 'ts')
    assert.equal(shown.length, count)
    const folder = mkdtempSync(join(tmpdir(), 'warren-documents-'))
    try {
      for (const [index, code] of shown.entries()) {
        const file = join(folder, `${index}.mjs`)
        const { code: script } = await transform(code, { loader: 'ts', format: 'esm' })
        writeFileSync(file, located(script).replace('localhost:15672', new URL(broker.httpUrl).host))
        const { status, stdout, stderr } = await runProgram(process.execPath, [file], { msMax: 30_000 })
        assert.equal(status, 0, `${code}\n${stdout}${stderr}`)
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}

const likeVitest = `import assert from 'node:assert/strict'; import { afterEach, beforeEach, test } from 'node:test'
  const expect = (value) => ({ toEqual: (wanted) => assert.deepEqual(value, wanted) })`

/** With this build in place of the package. */
function located(code: string): string {
  const library = pathToFileURL(require.resolve('@cloudamqp/amqp-client')).href
  const webSocket = JSON.stringify(pathToFileURL(require.resolve('ws')).href)
  let text = code.replace(/(["'])@cloudamqp\/amqp-client\1/, JSON.stringify(library))
  // Node has a WebSocket of its own from version 22 on.
  if (text !== code) text = `import ws from ${webSocket}; globalThis.WebSocket ??= ws.WebSocket\n${text}`
  // As much of Vitest as is shown, on Node's runner.
  text = text.replace(/^import .* from ("|')vitest\1/m, likeVitest)
  for (const [name, path] of Object.entries(modules)) {
    text = text.replaceAll(new RegExp(`(["'])${name}\\1`, 'g'), JSON.stringify(new URL(path, import.meta.url).href))
  }
  return text
}
