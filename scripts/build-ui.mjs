/**
 * Builds the dashboard: checks the types of src/ui, bundles it into dist/ui under names that hold a hash of the content,
 * and packs each file once, so that the broker need not.
 *
 *   node scripts/build-ui.mjs
 */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'
import { packTexts } from './pack-texts.mjs'
import { trimUplot } from './trim-uplot.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const source = join(root, 'src', 'ui')
const built = join(root, 'dist', 'ui')

if ((await checkTypes()) !== 0) process.exit(1)
await bundle()
for (const entry of readdirSync(built, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue
  const path = join(entry.parentPath, entry.name)
  writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }))
}

/** Resolves with the compiler's exit code. */
function checkTypes() {
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const child = spawn(process.execPath, [compiler, '-p', source, '--noEmit'], { stdio: 'inherit' })
  return new Promise((resolve) => child.once('close', resolve))
}

async function bundle() {
  await build({
    configFile: false,
    root: source,
    // The page may lie behind a proxy that puts a path before it.
    base: './',
    logLevel: 'warn',
    plugins: [trimUplot(), packTexts()],
    oxc: { jsx: { importSource: 'preact' } },
    build: {
      outDir: built,
      emptyOutDir: true,
      target: 'es2022',
      // The page's policy allows no inline code and no data: addresses.
      modulePreload: false,
      assetsInlineLimit: 0,
      reportCompressedSize: false,
    },
  })
}
