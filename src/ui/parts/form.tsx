/** Fields of forms, and what is read from them. */
import type { ComponentChildren, JSX } from 'preact'
import { useRef, useState } from 'preact/hooks'
import { type Key, t } from '../core/language.ts'
import { sentenceOf } from '../core/notices.ts'
import { unitOf } from './settings.ts'

export interface FieldProps {
  readonly name: string
  readonly label: Key
  readonly value?: string
  readonly type?: 'text' | 'number' | 'password' | 'datetime-local'
  readonly placeholder?: string
  readonly isNeeded?: boolean
}

export function Field({ name, label, value = '', type = 'text', placeholder = '', isNeeded }: FieldProps): JSX.Element {
  return (
    <label class="field">
      {t(label)}
      <input
        name={name}
        step="any"
        {...({ type } as { type: 'text' })}
        defaultValue={value}
        placeholder={placeholder}
        required={isNeeded ?? false}
        spellcheck={false}
        autoComplete="off"
        {...(name === 'vhost' ? { list: 'vhosts' } : {})}
      />
    </label>
  )
}

interface AreaProps extends FieldProps {
  /** Of an object: those that it may have, with values to begin with. */
  readonly keys?: Readonly<Record<string, unknown>>
}

export function Area({ name, label, value = '', placeholder = '', keys }: AreaProps): JSX.Element {
  const area = useRef<HTMLTextAreaElement>(null)
  return (
    <>
      <label class="field">
        {t(label)}
        <textarea name={name} ref={area} defaultValue={value} placeholder={placeholder} spellcheck={false} />
      </label>
      {keys !== undefined && (
        // biome-ignore lint/a11y/useSemanticElements: a fieldset would be a frame around a few buttons.
        <div class="keys" role="group" aria-label={t('addKey')}>
          {Object.entries(keys).map(([key, first]) => (
            <button type="button" key={key} onClick={() => area.current !== null && put(area.current, key, first)}>
              {key}
              {unitOf(key) !== '' && <span class="muted">{unitOf(key)}</span>}
            </button>
          ))}
        </div>
      )}
    </>
  )
}

/** Puts a key into the object that is written there; what is no object stays as it is, and its form says so. */
function put(area: HTMLTextAreaElement, key: string, first: unknown): void {
  try {
    const json = JSON.parse(area.value || '{}') as Record<string, unknown>
    area.value = JSON.stringify({ [key]: first, ...json }, null, 2)
  } catch {
    // Half written: the user goes on with it.
  }
  area.focus()
}

export function Check({ name, label, isOn = false }: { name: string; label: Key; isOn?: boolean }): JSX.Element {
  return (
    <label class="check">
      <input type="checkbox" name={name} defaultChecked={isOn} />
      {t(label)}
    </label>
  )
}

interface ChoiceProps {
  readonly name: string
  readonly label: Key
  readonly of: readonly string[]
  readonly value?: string
  readonly chosen?: (value: string) => void
}

export function Choice({ name, label, of, value, chosen }: ChoiceProps): JSX.Element {
  return (
    <label class="field">
      {t(label)}
      <select
        name={name}
        defaultValue={value ?? of[0] ?? ''}
        onChange={({ currentTarget }) => chosen?.(currentTarget.value)}
      >
        {of.map((one) => (
          <option key={one} value={one} selected={one === value}>
            {one}
          </option>
        ))}
      </select>
    </label>
  )
}

interface FormProps {
  readonly doIt: Key
  /** Rejects with what is wrong; the form says it. */
  readonly submit: (fields: Fields) => Promise<void>
  readonly cancel?: () => void
  readonly children: ComponentChildren
}

export function Form({ doIt, submit, cancel, children }: FormProps): JSX.Element {
  const [failure, setFailure] = useState<string | null>(null)
  const [isBusy, setBusy] = useState(false)
  const submitted = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    const fields = new Fields(new FormData(event.currentTarget as HTMLFormElement))
    setBusy(true)
    setFailure(null)
    try {
      await submit(fields)
    } catch (error) {
      setFailure(sentenceOf(error))
    }
    setBusy(false)
  }
  return (
    <form class="form" onSubmit={(event) => void submitted(event)}>
      {children}
      {failure !== null && (
        <p class="bad" role="alert">
          {failure}
        </p>
      )}
      <div class="row">
        <button type="submit" class="main" disabled={isBusy}>
          {t(doIt)}
        </button>
        {cancel !== undefined && (
          <button type="button" onClick={cancel}>
            {t('cancel')}
          </button>
        )}
      </div>
    </form>
  )
}

export class Fields {
  readonly #data: FormData

  constructor(data: FormData) {
    this.#data = data
  }

  text(name: string): string {
    return String(this.#data.get(name) ?? '')
  }

  has(name: string): boolean {
    return this.#data.has(name)
  }

  file(name: string): File {
    return this.#data.get(name) as File
  }

  /** A JSON object; nothing is an empty one. Throws a sentence. */
  object(name: string): Record<string, unknown> {
    const text = this.text(name).trim()
    if (text === '') return {}
    try {
      const json: unknown = JSON.parse(text)
      if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json as Record<string, unknown>
    } catch {
      // The sentence below.
    }
    throw new Error(t('noObject', { text: text.slice(0, 40) }))
  }
}
