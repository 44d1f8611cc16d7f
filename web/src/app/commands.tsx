import { useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useEffect, useId, useMemo, useRef, useState } from 'react'
import { Dialog, Modal, ModalOverlay } from 'react-aria-components'
import type { Head } from '../api/schema'
import { useT } from '../i18n'
import { type Command, useAll } from '../ui/commands'
import { Keys } from '../ui/kbd'
import { Sheet } from '../ui/sheet'
import css from './commands.module.css'

const most = 40
const runId = /^[0-9a-f]{8}-[0-9a-f-]{4,}$/i

const plain = (text: string) => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()
/** Matches commands that contain every word; titles that start with the query rank first. */
function rank(command: Command, query: string): number {
  const title = plain(command.title)
  const haystack = `${title} ${plain(command.group)}`
  if (!query) return 1
  if (!query.split(/\s+/).every((word) => haystack.includes(word))) return 0
  return title.startsWith(query) ? 3 : title.includes(query) ? 2 : 1
}

/** The command palette: navigation, actions and search in one list. */
export function Palette({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = useT()
  return (
    <ModalOverlay className={css.over as string} isOpen={open} onOpenChange={(now) => !now && onClose()} isDismissable>
      <Modal className={css.modal as string}>
        <Dialog className={css.dialog as string} aria-label={t('Command list')}>
          <List onClose={onClose} />
        </Dialog>
      </Modal>
    </ModalOverlay>
  )
}

function List({ onClose }: { onClose: () => void }) {
  const t = useT()
  const id = useId()
  const go = useNavigate()
  const queries = useQueryClient()
  const commands = useAll()
  const [query, setQuery] = useState('')
  const [at, setAt] = useState(0)
  const list = useRef<HTMLDivElement>(null)

  const runs = useMemo<Command[]>(() => {
    const cached = queries
      .getQueriesData<{ pages: { executions: Head[] }[] }>({ queryKey: ['runs'] })
      .flatMap(([, data]) => data?.pages?.flatMap((page) => page.executions) ?? [])
    const seen = new Map(cached.map((head) => [head.execution_id, head]))
    return [...seen.values()].map((head) => ({
      id: `run.${head.execution_id}`,
      title: `${head.workflow_id} ${head.execution_id}`,
      group: t('Runs'),
      run: () => void go({ to: '/runs/$id', params: { id: head.execution_id } }),
    }))
  }, [queries, go, t])
  const needle = plain(query.trim())
  const found = [
    ...commands.filter((one) => !one.hidden).map((one) => [one, rank(one, needle)] as const),
    ...(needle ? runs.map((one) => [one, rank(one, needle) * 0.5] as const) : []),
  ]
    .filter(([, score]) => score > 0)
    .sort((a, b) => (needle ? b[1] - a[1] : 0))
    .map(([one]) => one)
  if (runId.test(query.trim()) && !found.some((one) => one.id.endsWith(query.trim())))
    found.unshift({
      id: 'open',
      title: t('Open run {id}', { id: query.trim() }),
      group: t('Runs'),
      run: () => void go({ to: '/runs/$id', params: { id: query.trim() } }),
    })
  const shown = found.slice(0, most)
  const now = Math.min(at, shown.length - 1)

  useEffect(() => {
    list.current?.children[now]?.scrollIntoView?.({ block: 'nearest' })
  }, [now])

  const act = (command: Command | undefined) => {
    if (!command) return
    onClose()
    // The dialog restores the focus first, then the command may move it.
    setTimeout(command.run, 0)
  }
  return (
    <>
      <input
        className={css.input}
        role="combobox"
        aria-expanded="true"
        aria-controls={`${id}-list`}
        aria-activedescendant={shown[now] ? `${id}-${now}` : undefined}
        aria-label={t('Go to, do, or find a run')}
        placeholder={t('Go to, do, or find a run')}
        value={query}
        autoFocus
        onChange={(e) => {
          setQuery(e.target.value)
          setAt(0)
        }}
        onKeyDown={(e) => {
          if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
            e.preventDefault()
            setAt((now + (e.key === 'ArrowDown' ? 1 : shown.length - 1)) % Math.max(1, shown.length))
          } else if (e.key === 'Enter') {
            e.preventDefault()
            act(shown[now])
          }
        }}
      />
      {shown.length === 0 && <p className={css.none}>{t('Nothing found.')}</p>}
      <div className={css.list} id={`${id}-list`} role="listbox" aria-label={t('Command list')} ref={list}>
        {shown.map((command, i) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are the field's.
          // biome-ignore lint/a11y/useFocusableInteractive: the field keeps the focus and names the active one.
          <div
            key={command.id}
            id={`${id}-${i}`}
            role="option"
            aria-selected={i === now}
            className={css.option}
            onClick={() => act(command)}
            onPointerMove={() => setAt(i)}
          >
            <span className="cut">{command.title}</span>
            <span className="push dim sm nowrap">{command.group}</span>
            {command.keys && <Keys keys={command.keys} />}
          </div>
        ))}
      </div>
    </>
  )
}

/** The shortcuts of the current screen. */
export function Help({ open, onClose }: { open: boolean; onClose: () => void }) {
  const t = useT()
  const commands = useAll().filter((one) => one.keys)
  const groups = [...new Set(commands.map((one) => one.group))]
  return (
    <Sheet title={t('Keys of this screen')} open={open} onClose={onClose}>
      {groups.map((group) => (
        <section key={group}>
          <h3 className={css.helpName}>{group}</h3>
          <dl className={css.help}>
            {commands
              .filter((one) => one.group === group)
              .map((one) => (
                <div key={one.id}>
                  <dt>{one.title}</dt>
                  <dd>
                    <Keys keys={one.keys ?? ''} />
                  </dd>
                </div>
              ))}
          </dl>
        </section>
      ))}
    </Sheet>
  )
}
