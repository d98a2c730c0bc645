/** What a start loads: a node on its own pays for no package that only clusters, tokens or requests need. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { freePort } from '../support/ports.ts'
import { startWarren } from '../support/warren-command.ts'

const folder = mkdtempSync(join(tmpdir(), 'warren-loaded-'))
after(() => rmSync(folder, { recursive: true, force: true }))

it('loads one package, until the first request', async () => {
  const list = watchModules()
  const port = await freePort()
  const args = ['serve', '--host', '127.0.0.1', '--port', '0', '--data', join(folder, 'data')]
  const hook = pathToFileURL(join(folder, 'register.mjs')).href
  const broker = startWarren(args, { WARREN_HTTP_PORT: String(port), NODE_OPTIONS: `--import=${hook}` })
  try {
    await broker.printed(/listens on http:/)
    assert.deepEqual(packagesIn(list), ['commander'])
    const files = readFileSync(list, 'utf8').match(/\/dist\/\S+/g) ?? []
    assert.ok(files.length < 40, `${files.length} files of ours`)
    assert.equal((await fetch(`http://127.0.0.1:${port}/api/overview`)).status, 401)
    assert.deepEqual(packagesIn(list), ['@hono/node-server', 'commander', 'hono'])
  } finally {
    broker.child.kill('SIGTERM')
    await broker.result
  }
})

/** Writes what makes a process note the address of each module it imports; the file where it does. */
function watchModules(): string {
  const list = join(folder, 'modules')
  const hooks = `
import { appendFileSync } from 'node:fs'
export async function load(url, context, next) {
  appendFileSync(${JSON.stringify(list)}, url + '\\n')
  return await next(url, context)
}`
  writeFileSync(join(folder, 'hooks.mjs'), hooks)
  const register = `import { register } from 'node:module'\nregister('./hooks.mjs', import.meta.url)\n`
  writeFileSync(join(folder, 'register.mjs'), register)
  return list
}

function packagesIn(list: string): string[] {
  const names = [...readFileSync(list, 'utf8').matchAll(/\/node_modules\/((?:@[^/]+\/)?[^/]+)\//g)]
  return [...new Set(names.map(([, name = '']) => name))].sort()
}
