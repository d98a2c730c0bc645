/** The tests that `docs/compatibility.md` names as its witnesses exist. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { projectRoot } from '../support/project-root.ts'

const page = 'docs/compatibility.md'
const folder = join(projectRoot, 'test')
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })

/** The text of the one file of this name, or with a path that ends so. */
function sourceOf(name: string): string {
  const found = files.filter((file) => file === name || file.endsWith(`/${name}`))
  assert.equal(found.length, 1, `${page} names ${name}; below test/ there is ${found.join(', ') || 'none'}`)
  return readFileSync(join(folder, found[0] ?? ''), 'utf8')
}

void test('every test that the page on compatibility names is there', () => {
  let source = ''
  let named = 0
  const absent: string[] = []
  for (const [, file, title = ''] of readFileSync(join(projectRoot, page), 'utf8').matchAll(
    /(?:`([\w./-]+\.ts)` )?“([^”]+)”/g,
  )) {
    if (file !== undefined) source = sourceOf(file)
    named += 1
    if (!source.includes(title)) absent.push(title)
  }
  assert.ok(named > 50, `only ${named} tests are named`)
  assert.deepEqual(absent, [], 'no test has these words in its title')
})
