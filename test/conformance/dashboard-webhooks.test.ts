/** A queue's page says which webhooks push its messages, and how they are doing; in Chromium. */
import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { Broker } from '../../src/index.ts'
import { TestAuthority } from '../support/certificates.ts'
import { DashboardBrowser, fine, visit } from '../support/dashboard-browser.ts'
import { hasCommands, leftOut } from '../support/run-program.ts'

if (hasCommands('chromium')) inBrowser()
else leftOut('webhooks in the dashboard in Chromium', 'chromium')

function inBrowser(): void {
  describe('webhooks in the dashboard', async () => {
    const broker = await Broker.start({ storage: 'memory', port: 0, httpPort: 0 })
    after(() => broker.stop({ drainMs: 100 }))
    const browser = new DashboardBrowser(broker.httpUrl)

    async function put(path: string, body: object): Promise<void> {
      const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
      const request = { method: 'PUT', headers: { authorization }, body: JSON.stringify(body) }
      const response = await fetch(new URL(`/api${path}`, broker.httpUrl), request)
      assert.ok(response.ok, `${response.status} ${await response.text()}`)
    }

    it('are on the page of their queue, with state and reason, in both languages', async () => {
      for (const name of ['pushed', 'alone']) await put(`/queues/%2F/${name}`, { durable: true })
      const secret = `whsec_${Buffer.alloc(32).toString('base64')}`
      const hook = { queue: 'pushed', url: 'https://shop.example/<b>hook</b>', secret, enabled: false }
      await put('/webhooks/%2F/%3Ci%3Eoff%3C%2Fi%3E', hook)
      await put('/webhooks/%2F/waits', { ...hook, queue: 'not there', enabled: true })
      const page = await browser.page('/queue/%2F/pushed')
      const card = page.getByRole('region', { name: 'Webhooks' })
      await card.getByText('<i>off</i>').waitFor()
      await card.getByText('switched off').waitFor()
      assert.equal(await card.getByText('waits').count(), 0, 'it is of another queue')
      await fine(page, 'queue-webhooks')
      await page.setViewportSize({ width: 360, height: 740 })
      await fine(page, 'queue-webhooks-phone')
      await visit(page, '/queue/%2F/alone')
      await page.getByText('Nobody consumes from this queue').waitFor()
      assert.equal(await card.count(), 0, 'where there are none nothing is said of them')
      await page.evaluate("localStorage.setItem('warren.language', 'zh')")
      await page.goto(page.url().replace('alone', 'pushed'))
      await page.reload()
      const chinese = page.getByRole('region', { name: 'Webhook' })
      await chinese.getByText('已停用').waitFor()
      await fine(page, 'queue-webhooks-zh')
      await page.close()
    })

    it('are given the certificates of an own authority, as they stand in a file', async () => {
      const authority = await TestAuthority.make()
      const page = await browser.page('/parameters')
      await page.getByRole('button', { name: 'New webhook' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByLabel('name', { exact: false }).first().fill('private')
      const secret = `whsec_${Buffer.alloc(32).toString('base64')}`
      const definition = { queue: 'pushed', url: 'https://private.example/', secret }
      await dialog.getByLabel('Definition').fill(JSON.stringify(definition))
      const certificates = dialog.getByLabel('Certificates of an authority of your own')
      await certificates.fill(`${authority.cert}-----BEGIN PRIVATE KEY-----`)
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.getByRole('alert').getByText('holds a PRIVATE KEY').waitFor()
      await certificates.fill(authority.cert)
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.waitFor({ state: 'detached' })
      const row = page.getByRole('row').filter({ hasText: 'private.example' })
      await row.getByRole('button', { name: 'Edit' }).click()
      assert.equal(await certificates.inputValue(), authority.cert)
      await fine(page, 'webhook-certificates')
      await page.close()
      authority.remove()
    })
  })
}
