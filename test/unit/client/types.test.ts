import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const compiled = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

it('compiles what must compile, and only that', () => {
  assert.ok(existsSync(compiled('must-not-compile.js')))
})

it('has an entry for browsers that needs nothing of Node, and is small', async () => {
  const result = await build({
    entryPoints: [compiled('../../../src/client/browser.js')],
    bundle: true,
    write: false,
    minify: true,
    platform: 'browser',
    format: 'esm',
    logLevel: 'silent',
    metafile: true,
  })
  const inputs = Object.keys(result.metafile.inputs)
  assert.ok(inputs.some((path) => path.endsWith('web-socket-dial.js')))
  assert.deepEqual(
    inputs.filter((path) => /node-|socket-client/.test(path.replace(/.*node_modules/, ''))),
    [],
  )
  const text = result.outputFiles[0]?.text ?? ''
  assert.ok(text.length > 10_000 && text.length < 200_000, `${text.length} bytes`)
})

it('is what package.json exports', () => {
  const root = compiled('../../../../../package.json')
  const path = existsSync(root) ? root : compiled('../../../../package.json')
  const { exports } = JSON.parse(readFileSync(path, 'utf8')) as { exports: Record<string, Record<string, string>> }
  assert.deepEqual(exports['./client'], {
    types: './dist/src/client/index.d.ts',
    browser: './dist/src/client/browser.js',
    default: './dist/src/client/index.js',
  })
})
