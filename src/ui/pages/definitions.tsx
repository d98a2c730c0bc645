/** Definitions: all that was made, as a file, out and in. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { ask, path } from '../core/api.ts'
import { value, visible } from '../core/format.ts'
import { t } from '../core/language.ts'
import { attempt, say } from '../core/notices.ts'
import { vhost } from '../core/vhost.ts'
import { Card, Facts, Head } from '../parts/card.tsx'
import { type Fields, Form } from '../parts/form.tsx'

interface Imported {
  readonly file: string
  readonly counts: readonly (readonly [list: string, count: number])[]
  readonly warnings: readonly string[]
}

function at(): string {
  return `/definitions${vhost.value === null ? '' : path(vhost.value)}`
}

export function Definitions(): JSX.Element {
  const [imported, setImported] = useState<Imported | null>(null)
  const take = async (fields: Fields): Promise<void> => {
    setImported(null)
    const file = fields.file('file')
    const text = await file.text()
    const lists = JSON.parse(text) as Record<string, unknown>
    const { warnings } = await ask<{ warnings: readonly string[] }>('POST', `${at()}?report=true`, { body: text })
    const counts = Object.entries(lists).flatMap(([list, items]) =>
      Array.isArray(items) && items.length > 0 ? [[list, items.length] as const] : [],
    )
    setImported({ file: file.name, counts, warnings })
    say({ kind: 'done', text: t('imported') })
  }
  return (
    <>
      <Head title={t('definitions')} plain={t('definitions')} />
      <div class="cols">
        <Card title="exportTitle">
          <p class="muted">{t('exportText')}</p>
          <div class="row">
            <button type="button" class="main" onClick={() => void attempt(download, t('exported'))}>
              {t('download')}
            </button>
          </div>
        </Card>
        <Card title="importTitle">
          <p class="muted">{t('importText')}</p>
          <Form doIt="import" submit={take}>
            <label class="field">
              {t('file')}
              <input type="file" name="file" accept=".json,application/json" required />
            </label>
          </Form>
        </Card>
      </div>
      {imported !== null && (
        <Card title="imported">
          <p>{visible(imported.file)}</p>
          <Facts of={imported.counts.map(([list, count]) => [visible(list), count])} />
          {imported.warnings.map((warning) => (
            <p class="warn" key={warning}>
              {value(warning)}
            </p>
          ))}
        </Card>
      )}
    </>
  )
}

/** The browser keeps it as a file. */
async function download(): Promise<void> {
  const text = JSON.stringify(await ask('GET', at()), null, 2)
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  link.download = 'warren-definitions.json'
  link.click()
  URL.revokeObjectURL(link.href)
}
