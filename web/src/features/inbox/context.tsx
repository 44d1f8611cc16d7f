import { Link } from '@tanstack/react-router'
import type { InboxConversation } from '../../api/conversation'
import { type Translate, useT } from '../../i18n'
import { count, percent, usd, when } from '../../i18n/format'
import { CodeText } from '../../ui/code-text'
import { Icon } from '../../ui/icon'
import css from './inbox.module.css'
import { triggerWords } from './words'

const outcomes: Record<string, { icon: 'ok' | 'err' | 'hold' | 'skip'; tone: string }> = {
  completed: { icon: 'ok', tone: 'good-c' },
  failed: { icon: 'err', tone: 'bad-c' },
  waiting: { icon: 'hold', tone: 'person-c' },
}
const outcomeWord = (outcome: string, t: Translate): string =>
  ({ completed: t('done'), failed: t('failed'), waiting: t('waits') })[outcome] ?? outcome

/** The handover context: reason, summary, attempts, and pending approvals. */
export function Context({ conversation }: { conversation: InboxConversation }) {
  const t = useT()
  const handover = conversation.handover_context
  return (
    <div className={css.context}>
      {handover && (
        <>
          <section>
            <h2>{t('Why people')}</h2>
            <p>
              <b>{t(triggerWords[handover.trigger] ?? handover.trigger)}</b>
              {handover.confidence !== undefined && (
                <span className="mid num"> · {t('confidence {part}', { part: percent(handover.confidence) })}</span>
              )}
            </p>
            {handover.reason && (
              <p className="mid">
                <CodeText>{handover.reason}</CodeText>
              </p>
            )}
          </section>
          {handover.summary && (
            <section>
              <h2>{t('Summary')}</h2>
              <p className="mid">{handover.summary}</p>
            </section>
          )}
          <section>
            <div className="row">
              <h2>{t('What was tried')}</h2>
              {conversation.execution_id && (
                <Link to="/runs/$id" params={{ id: conversation.execution_id }} className="link sm push">
                  {t('See the run')}
                </Link>
              )}
            </div>
            {handover.tried.length === 0 && <p className="mid">{t('Nothing yet.')}</p>}
            <ul className={css.tried}>
              {handover.tried.map((one, i) => {
                const sign = outcomes[one.outcome] ?? { icon: 'skip', tone: 'dim' }
                return (
                  <li key={i}>
                    <Icon name={sign.icon} size={14} className={sign.tone} />
                    <span className="cut">{one.what}</span>
                    <span className="push dim sm nowrap">{one.error ?? outcomeWord(one.outcome, t)}</span>
                  </li>
                )
              })}
            </ul>
          </section>
          {handover.pending_approvals.length > 0 && (
            <section>
              <h2>{t('Waits for a yes or a no')}</h2>
              <ul className={css.tried}>
                {handover.pending_approvals.map((one) => (
                  <li key={one}>
                    <Icon name="hold" size={14} className="person-c" />
                    <span className="cut">{one}</span>
                    <Link to="/approvals" className="link sm push">
                      {t('Approvals')}
                    </Link>
                  </li>
                ))}
              </ul>
            </section>
          )}
        </>
      )}
      <section>
        <h2>{t('Facts')}</h2>
        <dl className={css.facts}>
          <Fact name={t('Customer')}>{conversation.user_id ?? t('unknown')}</Fact>
          <Fact name={t('Channel')}>{conversation.channel || '—'}</Fact>
          <Fact name={t('Workflow')}>{conversation.workflow_id}</Fact>
          <Fact name={t('Began')}>{when(conversation.created_at)}</Fact>
          {conversation.state === 'pending_human' && conversation.waiting_since && (
            <Fact name={t('Waiting since')}>{when(conversation.waiting_since)}</Fact>
          )}
          {conversation.first_response_at && (
            <Fact name={t('First answer')}>{when(conversation.first_response_at)}</Fact>
          )}
          {!!conversation.reopened && <Fact name={t('Opened again')}>{count(conversation.reopened)}</Fact>}
          <Fact name={t('Cost')}>{usd(conversation.total_cost_usd)}</Fact>
        </dl>
      </section>
    </div>
  )
}

const Fact = ({ name, children }: { name: string; children: string }) => (
  <div>
    <dt>{name}</dt>
    <dd className="cut">{children}</dd>
  </div>
)
