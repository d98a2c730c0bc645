import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { DataDirectoryLocked, lockDataDirectory } from '../../../src/log/file/data-directory-lock.ts'

describe('the lock of a data directory', () => {
  let root = ''
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'lock-'))
  })
  after(() => rmSync(root, { recursive: true }))
  const fresh = (name: string): string => {
    const directory = join(root, name)
    mkdirSync(directory)
    return directory
  }

  test('is held by one at a time and can be had again after its release', async () => {
    const directory = fresh('a')
    const lock = await lockDataDirectory(directory)
    await assert.rejects(lockDataDirectory(directory), (error: unknown) => {
      assert.ok(error instanceof DataDirectoryLocked)
      assert.ok(error.message.includes(directory) && error.message.includes(`process ${process.pid};`))
      assert.match(error.message, /stop that process, or use another directory/)
      return true
    })
    await lock.release()
    await (await lockDataDirectory(directory)).release()
    assert.deepEqual(readdirSync(join(directory, 'lock')), [], 'nothing is left behind')
  })

  test('goes to exactly one of many that begin at the same time', async () => {
    const directory = fresh('b')
    for (let round = 0; round < 20; round++) {
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => lockDataDirectory(directory)))
      const held = results.filter((result) => result.status === 'fulfilled')
      assert.equal(held.length, 1)
      for (const result of results) {
        if (result.status === 'rejected') assert.ok(result.reason instanceof DataDirectoryLocked, String(result.reason))
        else await result.value.release()
      }
    }
  })

  test('is taken over from a process that was killed, and not before', async () => {
    const directory = fresh('c')
    const holder = spawn(process.execPath, ['--input-type=module', '-e', holdScript(directory)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(holder.stdout, 'data')
    await assert.rejects(lockDataDirectory(directory), new RegExp(`in use by process ${holder.pid};`))
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    const lock = await lockDataDirectory(directory)
    assert.equal(readdirSync(join(directory, 'lock')).length, 1, 'the dead name is removed')
    await lock.release()
  })

  test('counts a process that is stopped as alive', async () => {
    const directory = fresh('d')
    const holder = spawn(process.execPath, ['--input-type=module', '-e', holdScript(directory)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(holder.stdout, 'data')
    holder.kill('SIGSTOP')
    await assert.rejects(lockDataDirectory(directory), DataDirectoryLocked)
    holder.kill('SIGKILL')
    await once(holder, 'exit')
  })

  test('works in a directory whose path is longer than a socket path may be', async () => {
    const directory = fresh('e'.repeat(200))
    const lock = await lockDataDirectory(directory)
    await assert.rejects(lockDataDirectory(directory), DataDirectoryLocked)
    await lock.release()
    await (await lockDataDirectory(directory)).release()
  })

  test('says what is wrong when the directory cannot be used', async () => {
    await assert.rejects(lockDataDirectory(join(root, 'no', '\0', 'such')), { code: 'ERR_INVALID_ARG_VALUE' })
  })

  test('ignores sockets of the dead, however many', async () => {
    const directory = fresh('f')
    mkdirSync(join(directory, 'lock'))
    for (let index = 0; index < 5; index++) {
      // A name that is renamed while it listens stays behind when the listener closes.
      const server = createServer()
      const name = join(directory, 'lock', `${index}-dead.start`)
      await new Promise<void>((resolve) => server.listen(name, resolve))
      renameSync(name, join(directory, 'lock', `${index}-dead.held`))
      await new Promise((resolve) => server.close(resolve))
    }
    assert.equal(readdirSync(join(directory, 'lock')).length, 5)
    const lock = await lockDataDirectory(directory)
    assert.equal(readdirSync(join(directory, 'lock')).length, 1)
    await lock.release()
  })
})

function holdScript(directory: string): string {
  const module = new URL('../../../src/log/file/data-directory-lock.js', import.meta.url).href
  return `
    const { lockDataDirectory } = await import(${JSON.stringify(module)})
    await lockDataDirectory(${JSON.stringify(directory)})
    console.log('held')
    setInterval(() => {}, 1000)`
}
