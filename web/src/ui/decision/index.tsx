import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { Problem as ApiProblem } from '../../api/problem'
import { type Act, me, useAct, useDecide } from '../../api/queries'
import { useMay } from '../../api/rights'
import type { TaskItem } from '../../api/schema'
import { effectName } from '../../graph/waits'
import { useT } from '../../i18n'
import { exact, timeLeft } from '../../i18n/format'
import { Button } from '../button'
import { useNow } from '../clock'
import { Arguments, Json } from '../code'
import { CodeText } from '../code-text'
import { useCommands } from '../commands'
import { Text } from '../field'
import { Icon } from '../icon'
import { begin, read, SchemaForm } from '../schema-form'
import { Problem } from '../states'
import { toast } from '../toast'
import css from './decision.module.css'
import { asksYesOrNo, deadlineOf, isOffered, taskWords } from './words'

/** The time left, and what happens at the deadline. */
export function Deadline({ item }: { item: TaskItem }) {
  const t = useT()
  const now = useNow(1000)
  const at = deadlineOf(item)
  if (at === null) return <span className="dim">{t('no deadline')}</span>
  const open = new Date(item.opened_at).getTime()
  const ms = at - now
  const tone = ms < 0 ? css.late : ms < (at - open) / 4 ? css.soon : 'mid'
  return (
    <span className={`num nowrap ${tone}`} title={exact(at)}>
      {ms < 0 ? t('{time} late', { time: timeLeft(-ms) }) : t('{time} left', { time: timeLeft(ms) })}
    </span>
  )
}

/** One task that waits for a person, with everything needed to settle it. */
export function Decision({ item, keys }: { item: TaskItem; keys?: boolean }) {
  const t = useT()
  const { details } = item
  const yesNo = asksYesOrNo(item)
  const need = details.need ?? details.asks?.needed ?? 1
  const approvers = item.approved_by ?? []
  return (
    <div className={css.decision}>
      <div className="row">
        <span className={css.kind}>
          <Icon name={item.kind === 'doubt' ? 'warn' : 'hold'} size={14} />
          {yesNo && need > 1
            ? t('{given} of {need} approvals', { given: approvers.length, need })
            : t(taskWords[item.kind])}
        </span>
        <span className="push">
          <Deadline item={item} />
        </span>
      </div>
      {details.arguments && (
        <section className={css.part}>
          <h3>{t('Exactly this will run')}</h3>
          <div className={css.exact}>
            <span className="mono mid">{details.tool}</span>
            <Arguments of={details.arguments} caption={t('Arguments of {tool}', { tool: details.tool ?? '' })} />
          </div>
          {details.account && <p className="sm mid">{t('As {account}', { account: details.account })}</p>}
        </section>
      )}
      {details.details && Object.keys(details.details).length > 0 && (
        <section className={css.part}>
          <h3>{t('What it is about')}</h3>
          <dl className={css.about}>
            {Object.entries(details.details).map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{typeof value === 'string' ? value : <Json value={value} label={name} />}</dd>
              </div>
            ))}
          </dl>
        </section>
      )}
      {yesNo && <People item={item} need={need} approvers={approvers} />}
      {details.on_deadline && item.deadline !== null && (
        <p className="sm mid">
          {details.on_deadline === 'approve'
            ? t('At the deadline the request is approved.')
            : t('At the deadline the request is refused.')}
        </p>
      )}
      {yesNo ? (
        <YesNo item={item} keys={keys} />
      ) : item.kind === 'form' ? (
        <Form item={item} />
      ) : item.kind === 'question' ? (
        <Question item={item} />
      ) : item.kind === 'doubt' ? (
        <UnknownOutcome item={item} />
      ) : null}
    </div>
  )
}

function People({ item, need, approvers }: { item: TaskItem; need: number; approvers: string[] }) {
  const t = useT()
  const from = item.details.from ?? []
  const assignees = from.length ? from.filter((one) => !approvers.includes(one)).join(', ') : assigneesOf(item)
  return (
    <ul className={css.people}>
      {approvers.map((one) => (
        <li key={one}>
          <Icon name="ok" size={14} className="good-c" />
          {one}
          <span className="push dim">{t('approved')}</span>
        </li>
      ))}
      {need > approvers.length && (
        <li>
          <Icon name="hold" size={14} className="person-c" />
          <span className="cut">{assignees || t('anybody')}</span>
          <span className="push dim nowrap">
            {t('{n, plural, one {# more needed} other {# more needed}}', { n: need - approvers.length })}
          </span>
        </li>
      )}
      {item.asked_by && (
        <li>
          <Icon name="note" size={14} className="dim" />
          {t('Asked for by {who}', { who: item.asked_by })}
        </li>
      )}
    </ul>
  )
}

function YesNo({ item, keys }: { item: TaskItem; keys?: boolean | undefined }) {
  const t = useT()
  const [asking, setAsking] = useState<'approve' | 'refuse' | null>(null)
  const [reason, setReason] = useState('')
  const decide = useDecide()
  const cannot = useDisallowed(item)
  useCommands(
    [
      {
        id: 'approval.approve',
        title: t('Approve…'),
        group: t('This approval'),
        keys: 'a',
        run: () => setAsking('approve'),
      },
      {
        id: 'approval.refuse',
        title: t('Refuse…'),
        group: t('This approval'),
        keys: 'r',
        run: () => setAsking('refuse'),
      },
    ].filter((one) => keys && (one.keys === 'a' ? !cannot : !cannot || cannot.mayRefuse)),
  )
  const send = () =>
    decide.mutate(
      { item, approve: asking === 'approve', reason },
      {
        onSuccess: () => {
          toast(asking === 'approve' ? t('Approved') : t('Refused'))
          setAsking(null)
          setReason('')
        },
      },
    )
  if (!asking)
    return (
      <>
        {cannot && (
          <p className={css.cannot}>
            <Icon name="lock" size={14} className="dim" />
            {cannot.reason}
          </p>
        )}
        <div className={css.apart}>
          {!cannot && (
            <Button icon="check" onPress={() => setAsking('approve')}>
              {t('Approve…')}
            </Button>
          )}
          {(!cannot || cannot.mayRefuse) && <Button onPress={() => setAsking('refuse')}>{t('Refuse…')}</Button>}
        </div>
      </>
    )
  return (
    <form
      className={css.ask}
      onSubmit={(e) => {
        e.preventDefault()
        send()
      }}
    >
      <Text
        label={asking === 'approve' ? t('Note (optional)') : t('Reason, which whoever asked is told')}
        value={reason}
        onChange={setReason}
        lines={2}
        autoFocus
      />
      {decide.error && <Problem problem={decide.error} inline />}
      <div className="row">
        <Button type="submit" look={asking === 'approve' ? 'primary' : 'bad'} busy={decide.isPending}>
          {asking === 'approve' ? t('Approve') : t('Refuse')}
        </Button>
        <Button look="ghost" onPress={() => setAsking(null)}>
          {t('Back')}
        </Button>
      </div>
    </form>
  )
}

/** The assignees, as text; empty where anybody may answer. */
function assigneesOf({ details: { from, assignees } }: TaskItem): string {
  if (from?.length) return from.join(', ')
  if (typeof assignees === 'string') return assignees
  return assignees && typeof assignees === 'object' ? Object.values(assignees).flat().join(', ') : ''
}

/** Why the current key may not approve, so that no control is shown that would be refused. The server says so with the
 * item; for an item read from the run, the key's role, the requester and the assignees decide. */
function useDisallowed(item: TaskItem): { reason: string; mayRefuse: boolean } | null {
  const t = useT()
  const { data } = useQuery(me)
  const mayAnswer = useMay('answer')
  if (item.may?.includes('approve') || !data) return null
  if (data.role && !mayAnswer) return { reason: t('Your key may look at this, not decide it.'), mayRefuse: false }
  const from = item.details.from ?? []
  const assignees = assigneesOf(item)
  const mayRefuse = item.may?.includes('reject')
  if (item.approved_by?.includes(data.name))
    return {
      reason: t('You have approved this; someone else must too.'),
      mayRefuse: mayRefuse ?? item.kind === 'tool_approval',
    }
  // The requester may only withdraw the request.
  if (item.asked_by === data.name || mayRefuse)
    return { reason: t('You asked for this; someone else must decide. You may take it back.'), mayRefuse: true }
  if (item.may || (from.length > 0 && !from.includes(data.name)))
    return {
      reason: assignees ? t('Others decide this: {who}.', { who: assignees }) : t('Others decide this.'),
      mayRefuse: false,
    }
  return null
}

/** Shown in place of controls that would be refused. */
function NotYours({ item }: { item: TaskItem }) {
  const t = useT()
  const assignees = assigneesOf(item)
  return (
    <p className={css.cannot}>
      <Icon name="lock" size={14} className="dim" />
      {assignees ? t('Others decide this: {who}.', { who: assignees }) : t('Your key may look at this, not decide it.')}
    </p>
  )
}

function useSettle(item: TaskItem) {
  const t = useT()
  const act = useAct(item.run)
  return { act, settle: (what: Act) => act.mutate(what, { onSuccess: () => toast(t('Sent')) }) }
}

function Form({ item }: { item: TaskItem }) {
  const t = useT()
  const schema = item.details.asks?.form ?? {}
  const [draft, setDraft] = useState(() => begin(schema))
  const [show, setShow] = useState(false)
  const { act, settle } = useSettle(item)
  const { value, wrong } = read(schema, draft)
  if (!isOffered(item)) return <NotYours item={item} />
  return (
    <form
      className={css.ask}
      noValidate
      onSubmit={(e) => {
        e.preventDefault()
        setShow(true)
        if (Object.keys(wrong).length === 0)
          settle({ act: 'answer', to: item.to ?? item.details.node ?? '', form: value })
      }}
    >
      <SchemaForm schema={schema} draft={draft} onChange={setDraft} show={show} />
      {act.error && <Problem problem={act.error as ApiProblem} inline />}
      <div className="row">
        <Button type="submit" look="primary" busy={act.isPending}>
          {t('Send')}
        </Button>
      </div>
    </form>
  )
}

function Question({ item }: { item: TaskItem }) {
  const t = useT()
  const [answer, setAnswer] = useState('')
  const { act, settle } = useSettle(item)
  if (!isOffered(item)) return <NotYours item={item} />
  return (
    <form
      className={css.ask}
      onSubmit={(e) => {
        e.preventDefault()
        if (answer.trim()) settle({ act: 'signal', message: answer.trim() })
      }}
    >
      <blockquote className={css.question}>
        <CodeText>{item.title}</CodeText>
      </blockquote>
      <Text label={t('Answer in the customer’s place')} value={answer} onChange={setAnswer} lines={2} />
      {act.error && <Problem problem={act.error as ApiProblem} inline />}
      <div className="row">
        <Button type="submit" look="primary" busy={act.isPending} isDisabled={!answer.trim()}>
          {t('Send')}
        </Button>
      </div>
    </form>
  )
}

function UnknownOutcome({ item }: { item: TaskItem }) {
  const t = useT()
  const { act, settle } = useSettle(item)
  const effect = item.details.effect ? effectName(item.details.effect) : (item.to ?? '')
  if (!isOffered(item)) return <NotYours item={item} />
  return (
    <div className={css.ask}>
      <p className={css.unknownOutcome}>
        {t('We asked {tool} and got no answer. Look there, then say what became of it.', {
          tool: item.details.tool ?? t('a service'),
        })}
      </p>
      {act.error && <Problem problem={act.error as ApiProblem} inline />}
      <div className="row wrap">
        <Button busy={act.isPending} onPress={() => settle({ act: 'resolve', effect, became: { done: null } })}>
          {t('It happened')}
        </Button>
        <Button busy={act.isPending} onPress={() => settle({ act: 'resolve', effect, became: 'not_done' })}>
          {t('It did not')}
        </Button>
        <Button busy={act.isPending} look="ghost" onPress={() => settle({ act: 'resolve', effect, became: 'repeat' })}>
          {t('Ask again')}
        </Button>
      </div>
    </div>
  )
}
