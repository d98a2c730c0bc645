/** What users of the dashboard may choose, and what it proposes: columns, how often it asks, keys of forms, in Chromium. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import type { Page } from 'playwright-core'
import { Broker } from '../../src/index.ts'
import { DashboardBrowser, fine, logIn, visit } from '../support/dashboard-browser.ts'
import { hasCommands, leftOut } from '../support/run-program.ts'

const authorization = `Basic ${btoa('guest:guest')}`
const longVhost = `billing.${'department-'.repeat(12)}production`

if (hasCommands('chromium')) inBrowser()
else leftOut('what users choose in the dashboard in Chromium', 'chromium')

function inBrowser(): void {
  describe('in the dashboard', async () => {
    const broker = await Broker.start({ storage: 'memory', port: 0, httpPort: 0, definitions: definitions() })
    after(() => broker.stop({ drainMs: 100 }))
    const browser = new DashboardBrowser(broker.httpUrl)
    const get = async (path: string): Promise<Record<string, unknown>> => {
      const answer = await fetch(new URL(`/api${path}`, broker.httpUrl), { headers: { authorization } })
      return (await answer.json()) as Record<string, unknown>
    }

    it('columns of a list are turned on and off, and stay so', async () => {
      const page = await browser.page('/queues')
      const heads = (name: string): ReturnType<Page['getByRole']> => page.getByRole('columnheader', { name })
      await heads('Ready').waitFor()
      assert.equal(await heads('Policy').count(), 0)
      await page.locator('summary', { hasText: 'Columns' }).click()
      await page.getByLabel('Policy').check()
      await page.getByLabel('Ready', { exact: true }).uncheck()
      await page.getByRole('cell', { name: 'short' }).waitFor()
      await fine(page, 'queues-columns')
      await page.reload()
      await heads('Policy').waitFor()
      assert.equal(await heads('Ready').count(), 0)
      await page.close()
    })

    it('a page that is paused asks for nothing until it is told to', async () => {
      const page = await browser.page('/queues')
      await page.getByText('orders', { exact: true }).waitFor()
      // Once more at the choice, and then no more.
      const last = page.waitForResponse((answer) => new URL(answer.url()).pathname === '/api/queues')
      await page.getByLabel('How often').selectOption('paused')
      await last
      await fetch(new URL('/api/queues/%2F/later', broker.httpUrl), {
        method: 'PUT',
        headers: { authorization },
        body: '{}',
      })
      const asked: string[] = []
      page.on('request', (request) => asked.push(new URL(request.url()).pathname))
      // Alarms are asked for whatever the user wants, as often as queues otherwise.
      for (let looks = 0; looks < 2; looks++) {
        await page.waitForResponse((answer) => answer.url().endsWith('/publishing'), { timeout: 60_000 })
      }
      assert.ok(!asked.includes('/api/queues'), asked.join())
      await page.getByRole('button', { name: 'Refresh' }).click()
      await page.getByText('later', { exact: true }).waitFor()
      await fine(page, 'queues-paused')
      await page.close()
    })

    it('forms propose keys, with values to begin with', async () => {
      const page = await browser.page('/queues')
      await page.getByRole('button', { name: 'New queue' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByRole('button', { name: 'x-max-length', exact: true }).click()
      await dialog.getByRole('button', { name: 'x-message-ttl' }).click()
      const text = (): Promise<string> => dialog.getByLabel('Arguments').inputValue()
      assert.deepEqual(JSON.parse(await text()), { 'x-message-ttl': 3_600_000, 'x-max-length': 100_000 })
      await dialog.getByLabel('Arguments').fill('{"x-max-length": 7')
      await dialog.getByRole('button', { name: 'x-message-ttl' }).click()
      assert.equal(await text(), '{"x-max-length": 7')
      await dialog.getByLabel('Type').selectOption('stream')
      await dialog.getByRole('button', { name: 'x-max-age' }).waitFor()
      assert.equal(await dialog.getByRole('button', { name: 'x-max-length', exact: true }).count(), 0)
      await fine(page, 'queue-new-stream')
      await page.close()
    })

    it('a message is published with the properties that are given, from base64 too', async () => {
      const page = await browser.page('/queue/%2F/orders')
      await page.getByText('Publish a message').click()
      await page.getByLabel('Payload').fill(btoa('from base64'))
      await page.getByLabel('is base64').check()
      await page.getByRole('button', { name: 'correlation_id' }).click()
      await page.getByLabel('Other properties').fill('{"correlation_id": "c 7"}')
      await page.getByRole('button', { name: 'Publish', exact: true }).click()
      await page.getByText('Published.').waitFor()
      await page.getByText('Look inside').click()
      await page.getByText('from base64').waitFor()
      await page.getByText('c 7', { exact: true }).waitFor()
      await fine(page, 'queue-published')
      await page.close()
    })

    it('a new queue has the type of its virtual host, unless another is chosen', async () => {
      const page = await browser.page('/queues')
      for (const [name, type, expected] of [
        ['plain', '–', 'quorum'],
        ['old', 'classic', 'classic'],
      ] as const) {
        await page.getByRole('button', { name: 'New queue' }).click()
        const dialog = page.getByRole('dialog')
        await dialog.getByLabel('Name', { exact: true }).fill(name)
        await dialog.getByLabel('Virtual host').fill(longVhost)
        await dialog.getByLabel('Type').selectOption(type)
        await dialog.getByRole('button', { name: 'Create' }).click()
        await page.getByRole('heading', { level: 1, name }).waitFor()
        assert.equal((await get(`/queues/${encodeURIComponent(longVhost)}/${name}`))['type'], expected)
        await visit(page, '/queues')
      }
      await page.close()
    })

    it('a user gets other tags and keeps the password', async () => {
      const page = await browser.page('/user/anna')
      await page.getByRole('button', { name: 'Edit' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByLabel('Tags').fill('monitoring')
      await dialog.getByRole('button', { name: 'Save' }).click()
      await page.getByText('Saved.').waitFor()
      assert.deepEqual((await get('/users/anna'))['tags'], ['monitoring'])
      await page.getByRole('button', { name: 'Log out' }).click()
      await logIn(page, 'anna', 'secret of anna')
      await page.close()
    })

    it('a user without rights is seen as such', async () => {
      const page = await browser.page('/users')
      await page.getByRole('row', { name: 'anna' }).getByText('none').waitFor()
      await page.getByRole('row', { name: 'guest' }).getByText('/', { exact: true }).waitFor()
      await fine(page, 'users-vhosts')
      await visit(page, '/vhosts')
      await page.getByRole('row', { name: longVhost }).getByText('guest').waitFor()
      await fine(page, 'vhosts-users')
      await page.close()
    })

    it('the page of a queue says what applies to it, and that of a node what it has left', async () => {
      const page = await browser.page('/queue/%2F/orders')
      const facts = page.getByRole('region', { name: 'Facts' })
      await facts.getByText('60000 (1 min)').waitFor()
      await facts.getByRole('link', { name: 'short' }).waitFor()
      await fine(page, 'queue-facts')
      await visit(page, '/cluster')
      await page
        .getByText(/^\d+ of [\d,]+$/)
        .first()
        .waitFor()
      await page.getByText('Memory: heap').waitFor()
      await fine(page, 'cluster-resources')
      await page.close()
    })

    it('global parameters are set and taken away', async () => {
      const page = await browser.page('/parameters')
      const card = page.getByRole('region', { name: 'Global parameters' })
      for (const [name, text, value] of [
        ['cluster_name', 'orders <b>', 'orders <b>'],
        ['shape', '{"sides": 3}', { sides: 3 }],
      ] as const) {
        await card.getByLabel('Name').fill(name)
        await card.getByLabel('Value').fill(text)
        await card.getByRole('button', { name: 'Save' }).click()
        await card.getByRole('row', { name }).waitFor()
        assert.deepEqual((await get(`/global-parameters/${name}`))['value'], value)
      }
      await fine(page, 'global-parameters')
      await card.getByRole('row', { name: 'shape' }).getByRole('button').click()
      await page.getByRole('dialog').getByRole('button', { name: 'Take away' }).click()
      await card.getByRole('row', { name: 'shape' }).waitFor({ state: 'detached' })
      await page.close()
    })

    it('long names of virtual hosts fit on a phone', async () => {
      const page = await browser.page('/exchanges', { width: 360, height: 740 })
      await page.getByText('amq.direct').first().waitFor()
      await fine(page, 'exchanges-long-vhost-phone')
      await visit(page, '/users')
      await page.getByText('anna').waitFor()
      await fine(page, 'users-long-vhost-phone')
      await page.close()
    })
  })
}

function definitions(): Record<string, unknown> {
  const all = { configure: '.*', write: '.*', read: '.*' }
  return {
    vhosts: [
      { name: '/' },
      { name: longVhost, metadata: { default_queue_type: 'quorum' }, default_queue_type: 'quorum' },
    ],
    users: [{ name: 'anna', password: 'secret of anna', tags: 'management' }],
    permissions: [{ user: 'guest', vhost: longVhost, ...all }],
    policies: [
      {
        name: 'short',
        vhost: '/',
        pattern: '^orders$',
        'apply-to': 'queues',
        priority: 0,
        definition: { 'message-ttl': 60_000 },
      },
    ],
    queues: [{ name: 'orders', vhost: '/', durable: true, auto_delete: false, arguments: {} }],
  }
}
