import type { Execution, Graph } from '../../api/schema'
import type { RunTimeline } from '../../graph/timeline'
import { useT } from '../../i18n'
import { count, percent, usd } from '../../i18n/format'
import { Empty } from '../../ui/states'
import css from './costs.module.css'
import { nameIn } from './rollback'

interface Usage {
  calls: number
  in: number
  out: number
  cost: number
}

/** What the run cost, by step and by model. */
export function Costs({
  run,
  graph,
  timeline,
  onSelect,
}: {
  run: Execution
  graph: Graph | undefined
  timeline: RunTimeline
  onSelect: (node: string) => void
}) {
  const t = useT()
  const total = run.total_cost_usd
  const steps = (run.nodes ?? []).filter((node) => node.cost_usd > 0).sort((a, b) => b.cost_usd - a.cost_usd)
  const models = new Map<string, Usage>()
  for (const call of timeline.steps.flatMap((step) => step.calls).filter((one) => one.what === 'model')) {
    const answer = call.answer as { model?: string; usage?: { input_tokens?: number; output_tokens?: number } } | null
    const sum = models.get(answer?.model ?? call.name) ?? { calls: 0, in: 0, out: 0, cost: 0 }
    sum.calls += call.attempts.length
    sum.in += answer?.usage?.input_tokens ?? 0
    sum.out += answer?.usage?.output_tokens ?? 0
    sum.cost += call.cost_usd
    models.set(answer?.model ?? call.name, sum)
  }
  if (steps.length === 0 && models.size === 0) return <Empty>{t('This run has cost nothing.')}</Empty>
  return (
    <div className={css.costs}>
      <p className={css.lede}>
        {t('{total} in all', { total: usd(total) })}
        {steps[0] && total > 0 && (
          <span className="mid">{`, ${t('{share} of it for {step}', { share: percent(steps[0].cost_usd / total), step: nameIn(graph, steps[0].node) })}`}</span>
        )}
      </p>
      <table className={css.table}>
        <thead>
          <tr>
            <th scope="col">{t('Step')}</th>
            <th scope="col" className={css.right}>
              {t('Share')}
            </th>
            <th scope="col" className={css.right}>
              USD
            </th>
          </tr>
        </thead>
        <tbody>
          {steps.map((step) => (
            <tr key={step.node}>
              <td>
                <button type="button" className="link" onClick={() => onSelect(step.node)}>
                  {nameIn(graph, step.node)}
                </button>
              </td>
              <td className={css.right}>
                <span className={css.share} aria-hidden="true">
                  <i style={{ width: `${(step.cost_usd / Math.max(total, 1e-12)) * 100}%` }} />
                </span>
                {percent(step.cost_usd / Math.max(total, 1e-12))}
              </td>
              <td className={css.right}>{usd(step.cost_usd, false)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {models.size > 0 && (
        <table className={css.table}>
          <thead>
            <tr>
              <th scope="col">{t('Model')}</th>
              <th scope="col" className={css.right}>
                {t('Calls')}
              </th>
              <th scope="col" className={css.right}>
                {t('Tokens in')}
              </th>
              <th scope="col" className={css.right}>
                {t('Tokens out')}
              </th>
              <th scope="col" className={css.right}>
                USD
              </th>
            </tr>
          </thead>
          <tbody>
            {[...models].map(([name, sum]) => (
              <tr key={name}>
                <td>{name}</td>
                <td className={css.right}>{count(sum.calls)}</td>
                <td className={css.right}>{count(sum.in)}</td>
                <td className={css.right}>{count(sum.out)}</td>
                <td className={css.right}>{usd(sum.cost, false)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  )
}
