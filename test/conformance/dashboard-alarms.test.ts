/** What the dashboard shows while memory and disk are short: which alarm is on, at which node, and that it is over again. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { silentLogger } from '../../src/base/logger.ts'
import { configWith } from '../../src/config.ts'
import { startDaemon, systemWorld } from '../../src/daemon.ts'
import { DashboardBrowser, fine, visit } from '../support/dashboard-browser.ts'
import { eventually } from '../support/eventually.ts'

const bytesPerMiB = 1024 * 1024
/** Alarms are looked at each few seconds, and so are pages. */
const shownMsMax = 20_000

const directory = mkdtempSync(join(tmpdir(), 'warren-alarms-'))
const ports = { host: '127.0.0.1', port: 0, httpPort: 0 }
// What is free is below that, whatever it is.
const config = configWith({ ...ports, dataDirectory: directory, diskFreeBytesMin: 1_000 * 1024 * 1024 * bytesPerMiB })
let usedBytes = 90 * bytesPerMiB
const memory = { limitBytes: 100 * bytesPerMiB, usedBytes: () => usedBytes, inUseBytes: () => usedBytes }
const node = await startDaemon(config, { ...systemWorld(silentLogger), memory })
after(async () => {
  await node.stop(1_000)
  rmSync(directory, { recursive: true, force: true })
})
const url = node.addresses.find((address) => address.startsWith('http:')) ?? ''

async function check(name: string): Promise<{ status: number; resources: string[] }> {
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  const response = await fetch(`${url}/api/health/checks/${name}`, { headers: { authorization } })
  const { alarms = [] } = (await response.json()) as { alarms?: { node: string; resource: string }[] }
  return { status: response.status, resources: alarms.map(({ resource }) => resource).sort() }
}

async function put(path: string, body: unknown): Promise<void> {
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  const response = await fetch(`${url}/api/${path}`, {
    method: 'PUT',
    headers: { authorization },
    body: JSON.stringify(body),
  })
  assert.ok(response.ok, `${path}: ${response.status}`)
}

describe('alarms in the dashboard', () => {
  const browser = new DashboardBrowser(url)

  /** Who does not monitor is told that nothing can be published and why, on every page, and no node. */
  async function seenByOthers(): Promise<void> {
    await put('users/anna', { password: 'anna', tags: 'management' })
    await put('permissions/%2F/anna', { configure: '.*', write: '.*', read: '.*' })
    const page = await browser.page('/', { login: ['anna', 'anna'] })
    for (const place of ['/', '/queues', '/exchanges']) {
      await visit(page, place)
      const banner = page.getByRole('alert').filter({ hasText: 'Publishers are blocked.' })
      await banner.getByText('The broker is short of memory.').waitFor({ timeout: shownMsMax })
      await banner.getByText('The broker is short of disk space.').waitFor()
      assert.equal(/warren@|MiB|GiB/.test((await banner.textContent()) ?? ''), false)
    }
    await fine(page, 'alarms-for-others')
  }

  it('are shown while they are on, with the node, and not any more when they are over', async () => {
    await eventually('both are on', async () => (await check('alarms')).resources.join() === 'disk,memory', shownMsMax)
    assert.equal((await check('local-alarms')).status, 503)
    const page = await browser.page('/cluster')
    const banner = page.getByRole('alert').filter({ hasText: 'Publishers are blocked.' })
    await banner.getByText('Memory of warren@localhost is above its limit.').waitFor({ timeout: shownMsMax })
    await banner.getByText('Disk space of warren@localhost is below its limit.').waitFor()
    await page.getByText('alarm', { exact: true }).first().waitFor()
    await fine(page, 'alarms-cluster')
    await visit(page, '/')
    await page.getByText('Memory of warren@localhost is above its limit.').waitFor({ timeout: shownMsMax })
    await fine(page, 'alarms-overview')
    await visit(page, '/queues')
    await banner.getByText('Disk space of warren@localhost is below its limit.').waitFor()
    await fine(page, 'alarms-elsewhere')
    await seenByOthers()
    usedBytes = 10 * bytesPerMiB
    await page
      .getByText('Memory of warren@localhost is above its limit.')
      .waitFor({ state: 'detached', timeout: shownMsMax })
    await visit(page, '/cluster')
    await page.getByText('Disk space of warren@localhost is below its limit.').waitFor({ timeout: shownMsMax })
    assert.deepEqual(await check('alarms'), { status: 503, resources: ['disk'] })
    await fine(page, 'alarms-disk-only')
  })
})
