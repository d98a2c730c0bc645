import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { SystemFiles } from '../../../src/base/system-files.ts'

describe('the system files', () => {
  const files = new SystemFiles()
  let root = ''
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'files-'))
  })
  after(() => rmSync(root, { recursive: true }))
  const bytes = (text: string): Uint8Array => Buffer.from(text)

  test('write at any place and read back what is there, up to the end', async () => {
    const file = await files.open(`${root}/a`, 'create')
    await file.write(bytes('--hello--'), 2, 5, 3)
    assert.equal(await file.size(), 8)
    const into = new Uint8Array(10).fill(255)
    assert.equal(await file.read(into, 1, 9, 0), 8)
    assert.deepEqual([...into], [255, 0, 0, 0, ...bytes('hello'), 255])
    assert.equal(await file.read(into, 0, 5, 8), 0, 'nothing at the end')
    assert.equal(await file.read(into, 0, 0, 0), 0)
    await file.write(into, 0, 0, 0)
    await file.truncate(4)
    assert.equal(await file.size(), 4)
    await file.sync()
    await file.close()
  })

  test('write synced, and more at once than the system takes in one call', async () => {
    const file = await files.open(`${root}/large`, 'create', { isSynced: true })
    const large = new Uint8Array(3_000_000).fill(7)
    await file.write(large, 0, large.byteLength, 11)
    const back = new Uint8Array(large.byteLength)
    assert.equal(await file.read(back, 0, back.byteLength, 11), large.byteLength)
    assert.ok(Buffer.compare(large, back) === 0)
    await file.close()
  })

  test('are readable by their owner only', async () => {
    await files.makeDirectory(`${root}/deep/er`)
    await (await files.open(`${root}/deep/er/b`, 'create')).close()
    assert.equal(statSync(`${root}/deep/er`).mode & 0o077, 0)
    assert.equal(statSync(`${root}/deep/er/b`).mode & 0o077, 0)
    await files.makeDirectory(`${root}/deep/er`)
  })

  test('are made below a directory that others make at the same time', async () => {
    for (let round = 0; round < 100; round++) {
      const names = ['a', 'b', 'c', 'd'].map((name) => `${root}/shared-${round}/${name}`)
      await Promise.all(names.map((name) => files.makeDirectory(name)))
    }
    await assert.rejects(files.makeDirectory('/proc/none/below'), { code: 'ENOENT' })
    await assert.rejects(files.makeDirectory(`${root}/a/below`), { code: 'ENOTDIR' })
  })

  test('list names in order, rename, remove, and sync a directory', async () => {
    await files.makeDirectory(`${root}/names`)
    for (const name of ['c', 'a', 'b']) await (await files.open(`${root}/names/${name}`, 'create')).close()
    assert.deepEqual(await files.list(`${root}/names`), ['a', 'b', 'c'])
    await files.rename(`${root}/names/c`, `${root}/names/a`)
    await files.remove(`${root}/names/b`)
    await files.syncDirectory(`${root}/names`)
    assert.deepEqual(await files.list(`${root}/names`), ['a'])
  })

  test('say by a code what is wrong', async () => {
    await (await files.open(`${root}/there`, 'create')).close()
    await assert.rejects(files.open(`${root}/there`, 'create'), { code: 'EEXIST' })
    await assert.rejects(files.open(`${root}/missing`, 'read'), { code: 'ENOENT' })
    await assert.rejects(files.open(`${root}/missing`, 'write'), { code: 'ENOENT' })
    await assert.rejects(files.remove(`${root}/missing`), { code: 'ENOENT' })
    await assert.rejects(files.rename(`${root}/missing`, `${root}/x`), { code: 'ENOENT' })
    await assert.rejects(files.list(`${root}/missing`), { code: 'ENOENT' })
    await assert.rejects(files.syncDirectory(`${root}/missing`), { code: 'ENOENT' })
    const read = await files.open(`${root}/there`, 'read')
    await assert.rejects(read.write(bytes('x'), 0, 1, 0), { code: 'EBADF' })
    await read.close()
  })

  test('touch nothing of the file that has the number of a closed one', async () => {
    const closed = await files.open(`${root}/closed`, 'create')
    await closed.close()
    // The system gives the lowest number that is free: that of the one before.
    const next = await files.open(`${root}/next`, 'create')
    await assert.rejects(closed.close(), { code: 'EBADF' })
    await assert.rejects(closed.write(bytes('x'), 0, 1, 0), { code: 'EBADF' })
    await assert.rejects(closed.read(bytes('x'), 0, 1, 0), { code: 'EBADF' })
    await assert.rejects(closed.size(), { code: 'EBADF' })
    await assert.rejects(closed.sync(), { code: 'EBADF' })
    await assert.rejects(closed.truncate(0), { code: 'EBADF' })
    await next.write(bytes('here'), 0, 4, 0)
    assert.equal(await next.size(), 4)
    await next.close()
  })

  test('know how much room there is', async () => {
    const free = await files.freeBytes(root)
    assert.ok(Number.isSafeInteger(free) && free > 0)
  })
})
