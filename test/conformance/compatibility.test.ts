/** The tests that `docs/compatibility.md` and `docs/security.md` name as their witnesses exist. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { projectRoot } from '../support/project-root.ts'

const pages = [
  ['docs/compatibility.md', 50],
  ['docs/security.md', 40],
] as const
const folder = join(projectRoot, 'test')
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })

/** The text of the one file of this name, or with a path that ends so. */
function sourceOf(name: string, page: string): string {
  const found = files.filter((file) => file === name || file.endsWith(`/${name}`))
  assert.equal(found.length, 1, `${page} names ${name}; below test/ there is ${found.join(', ') || 'none'}`)
  return readFileSync(join(folder, found[0] ?? ''), 'utf8')
}

for (const [page, leastCount] of pages) {
  void test(`every test that ${page} names is there`, () => {
    let source = ''
    let named = 0
    const absent: string[] = []
    for (const [, file, title = ''] of readFileSync(join(projectRoot, page), 'utf8').matchAll(
      /(?:`([\w./-]+\.ts)` )?“([^”]+)”/g,
    )) {
      if (file !== undefined) source = sourceOf(file, page)
      named += 1
      if (!source.includes(title)) absent.push(title)
    }
    assert.ok(named > leastCount, `only ${named} tests are named`)
    assert.deepEqual(absent, [], 'no test has these words in its title')
  })
}

void test('every point of the list of security has a test', () => {
  const rows = readFileSync(join(projectRoot, 'docs/security.md'), 'utf8').matchAll(/^\| (\d+) \|.*\|(.*)\|$/gm)
  const points = [...rows].map(([, number, shown = '']) => (shown.includes('“') ? Number(number) : -1))
  assert.deepEqual(
    points,
    Array.from({ length: 31 }, (_, index) => index + 1),
  )
})
