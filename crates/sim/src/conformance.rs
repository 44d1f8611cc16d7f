//! One conformance suite per port: what every implementation must do, whatever stores the data.
//!
//! The name of each check is a sentence, and each gets a new, empty store from `make`. A check panics if its claim does
//! not hold, so call the suites from tests.

mod appends;
mod audit;
mod budget;
mod catalogue;
mod circuits;
mod connections;
mod conversations;
mod decisions;
mod embedder;
mod feed;
pub mod fixtures;
mod inbox;
pub mod index;
mod keys;
mod lists;
mod ownership;
mod rate_limits;
mod records;
mod registry;
mod task_inbox;
mod tool_cache;

use baton_ports::audit::AuditTrail;
use baton_ports::budget::BudgetStore;
use baton_ports::catalogue::ToolCatalogue;
use baton_ports::circuits::{ModelCircuitStore, ServiceCircuitStore};
use baton_ports::connections::AppConnections;
use baton_ports::decisions::DecisionLog;
use baton_ports::embed::Embedder;
use baton_ports::feed::JournalFeed;
use baton_ports::index::DocumentIndex;
use baton_ports::journal::JournalStore;
use baton_ports::keys::ApiKeyStore;
use baton_ports::rate_limits::RateLimitStore;
use baton_ports::read::ReadModel;
use baton_ports::records::RecordStore;
use baton_ports::registry::WorkflowRegistry;
use baton_ports::task_inbox::TaskInbox;
use baton_ports::tool_cache::ToolCache;

/// Runs each check on a store of its own.
macro_rules! check {
    ($make:expr; $($check:path),+ $(,)?) => {
        $($check(&$make().await).await;)+
    };
}

/// The journal, with the read models of its appends.
pub async fn journal<S: JournalStore + ReadModel + AuditTrail>(make: impl AsyncFn() -> S) {
    check!(make;
        inbox::what_is_acknowledged_is_there,
        inbox::a_second_submission_under_one_id_is_dropped_for_ever,
        inbox::only_a_first_item_brings_an_aggregate_into_being,
        inbox::a_message_to_nobody_is_refused,
        inbox::another_tenants_aggregate_is_out_of_reach,
        inbox::items_are_read_in_commit_order_behind_a_place,
        inbox::what_breaks_a_limit_is_refused_by_name,
        inbox::a_full_inbox_takes_no_more_until_it_is_emptied,
        inbox::an_append_consumes_its_items_and_no_others,
        inbox::items_that_changed_nothing_are_consumed_without_an_entry,
    );
    check!(make;
        appends::entries_are_read_back_as_they_were,
        appends::large_entries_are_read_back_as_they_were,
        appends::a_wrong_sequence_writes_nothing,
        appends::a_stale_owner_writes_nothing_and_is_told_so_first,
        appends::an_append_tried_twice_is_recorded_once,
        appends::each_of_many_appends_is_refused_alone,
        appends::a_message_to_another_aggregate_goes_with_the_append,
        appends::a_message_delivered_twice_is_there_once,
        appends::a_child_is_created_with_the_append,
        appends::a_child_may_be_told_more_in_the_append_that_creates_it,
        appends::an_append_with_an_undeliverable_message_writes_nothing,
        appends::a_message_to_what_is_gone_goes_nowhere,
        appends::a_snapshot_of_another_fold_is_left_out,
        appends::the_newest_snapshot_shortens_the_tail,
        appends::a_snapshot_is_shown_to_its_tenant_by_its_fold_and_behind_a_place,
    );
    check!(make;
        ownership::a_new_aggregate_may_be_owned_from_its_first_instant,
        ownership::a_claim_raises_the_epoch_and_reads_everything,
        ownership::what_a_living_process_owns_cannot_be_claimed,
        ownership::one_of_many_claimants_gets_it,
        ownership::an_owner_whose_lease_ended_loses_to_the_next,
        ownership::a_lease_that_ended_unnoticed_is_renewed,
        ownership::a_lease_that_was_renewed_while_a_claim_waited_for_its_turn_holds,
        ownership::an_owner_may_claim_afresh,
        ownership::who_leaves_gives_everything_back,
        ownership::a_claim_says_how_the_owner_before_let_go,
        ownership::who_left_owns_nothing_new,
        ownership::a_release_is_harmless_twice_and_refused_to_the_stale,
        ownership::process_numbers_are_never_used_again,
        ownership::a_timer_is_due_at_its_time_and_not_before,
        ownership::a_message_to_a_parked_aggregate_makes_it_due,
        ownership::a_released_aggregate_with_an_open_inbox_is_due,
        ownership::what_is_parked_or_owned_by_the_living_is_not_due,
        ownership::what_the_dead_owned_is_due_even_without_timer_or_message,
        ownership::no_more_is_due_than_was_asked_for,
        ownership::an_owner_is_nudged_until_it_has_consumed,
        ownership::what_was_taken_of_a_dead_owner_makes_all_it_owned_due_at_once,
        ownership::who_joins_anew_may_take_at_once_what_its_former_number_owned,
        ownership::a_lease_is_judged_by_no_clock_that_can_be_set,
        ownership::who_lets_go_says_when_to_look_again,
        ownership::what_a_wrong_clock_put_to_sleep_is_found,
        ownership::what_sleeps_for_one_instant_is_found_page_by_page,
    );
    check!(make;
        conversations::a_conversation_is_shown_as_the_last_append_said_and_to_its_tenant,
        conversations::conversations_are_listed_newest_first_by_status_state_and_owner,
        conversations::what_is_counted_of_conversations_is_of_those_that_ended_since,
        lists::a_head_shows_what_the_last_append_said,
        lists::runs_are_listed_newest_first_by_state_and_workflow,
        lists::runs_are_found_by_the_beginning_of_their_ids,
        lists::runs_are_found_by_customer_version_time_error_and_text,
        lists::pages_follow_their_cursor,
        lists::counts_are_by_state,
        lists::desk_items_are_open_until_they_are_closed,
        lists::nothing_crosses_tenants,
    );
}

/// The audit trail, written with appends.
pub async fn audit<S: JournalStore + AuditTrail>(make: impl AsyncFn() -> S) {
    check!(make;
        audit::rows_are_kept_in_order,
        audit::a_row_that_no_append_brings_stands_in_the_same_chain,
        audit::rows_are_found_by_whatever_is_asked,
        audit::pages_follow_their_cursor_both_ways,
        audit::a_call_stands_as_the_newest_row_about_it_says,
        audit::a_chain_is_followed_from_its_first_row_to_its_end,
        audit::chains_of_tenants_are_apart,
        audit::an_erased_persons_rows_are_empty_and_the_chain_holds,
        audit::rows_of_others_that_mention_a_person_are_emptied_too,
        audit::whoever_is_in_no_row_is_erased_from_none,
        audit::uses_are_summed_up_by_whatever_is_asked,
    );
}

/// The feed of recorded entries, in their order, and the searches across all tenants.
pub async fn feed<S: JournalFeed + JournalStore + RecordStore>(make: impl AsyncFn() -> S) {
    check!(make;
        feed::entries_are_told_in_the_order_in_which_they_were_laid,
        feed::a_child_is_told_to_be_one,
        feed::what_is_large_is_told_whole,
        feed::reading_leaves_nothing_behind_and_goes_on_behind_a_place,
        feed::whoever_reads_piece_by_piece_misses_nothing_and_reads_nothing_twice,
        feed::entries_are_told_to_their_tenant_alone,
        feed::conversations_alone_are_talked_of_and_desks_are_told_of_to_nobody,
        feed::tenants_are_told_by_what_they_keep,
    );
}

/// Allowances and costs, with the settlements of appends and the related task inbox items.
pub async fn budget<S: BudgetStore + JournalStore + ReadModel + RecordStore>(make: impl AsyncFn() -> S) {
    check!(make;
        budget::no_more_is_granted_than_remains,
        budget::what_is_held_ahead_is_a_small_part_of_what_is_left,
        budget::what_one_holds_another_cannot_take,
        budget::many_who_take_at_once_get_the_line_once,
        budget::what_is_settled_moves_from_held_to_spent_in_every_line,
        budget::a_settlement_told_twice_is_written_once,
        budget::a_holder_that_held_nothing_for_long_still_settles_once,
        budget::what_is_given_back_may_be_taken_again,
        budget::who_closes_gives_everything_back,
        budget::what_was_spent_after_closing_counts_all_the_same,
        budget::what_a_holder_that_is_gone_held_counts_as_spent_until_the_window_is_over,
        budget::a_call_that_cost_more_than_was_held_counts_whole,
        budget::lines_of_windows_tenants_and_keys_are_apart,
        budget::a_keys_call_counts_for_the_key_and_for_the_tenant,
        budget::a_new_limit_holds_at_once,
    );
    check!(make;
        budget::somebody_is_told_once_at_80_and_once_at_100_per_cent,
        budget::what_is_told_waits_for_whoever_writes_to_people,
        budget::a_line_that_cannot_give_what_is_needed_is_told_to_be_used_up,
        budget::what_was_told_of_a_window_leaves_the_desk_with_it,
        budget::a_spend_is_settled_with_the_append_that_records_its_answer,
        budget::what_many_runs_spend_at_once_is_counted_whole,
        budget::a_lost_answer_is_among_the_costs_and_taken_from_no_line,
        budget::what_breaks_a_limit_is_refused_by_name,
        budget::costs_are_summed_up_by_whatever_is_asked,
        budget::costs_of_nothing_are_nothing,
    );
}

/// Records of internal tools.
pub async fn records<S: RecordStore>(make: impl AsyncFn() -> S) {
    check!(make;
        records::a_record_is_read_back_with_its_version,
        records::an_insert_is_refused_where_there_is_one,
        records::a_compare_and_set_needs_the_version_it_saw,
        records::an_expectation_holds_a_batch_to_what_was_seen,
        records::a_put_overwrites_and_a_delete_removes,
        records::a_batch_is_written_whole_or_not_at_all,
        records::operations_of_a_batch_see_each_other,
        records::ranges_of_one_resource_never_overlap,
        records::a_key_may_widen_its_own_range,
        records::a_freed_range_may_be_held_again,
        records::one_of_many_bookings_of_a_slot_wins,
        records::an_empty_range_is_refused,
        records::a_list_is_in_key_order_within_its_prefix,
        records::records_of_tenants_are_apart,
        records::what_breaks_a_limit_is_refused_by_name,
    );
}

/// Workflow versions and bundles.
pub async fn registry<S: WorkflowRegistry>(make: impl AsyncFn() -> S) {
    check!(make;
        registry::the_first_version_is_active,
        registry::a_changed_bundle_is_the_next_version,
        registry::a_tenants_workflows_are_told_by_their_active_versions,
        registry::saving_what_is_active_changes_nothing,
        registry::an_older_bundle_saved_again_is_a_new_version,
        registry::bundles_are_kept_by_their_hash,
        registry::a_bundle_under_a_wrong_hash_is_refused,
        registry::versions_of_tenants_are_apart,
        registry::a_version_that_is_not_activated_waits_beside_the_active_one,
        registry::what_was_rolled_back_or_put_away_is_not_brought_back_by_the_same_files,
        registry::runs_are_split_until_one_version_is_activated,
        registry::a_change_that_saw_less_changes_is_refused,
        registry::what_is_not_there_cannot_be_changed,
    );
}

/// API keys.
pub async fn keys<S: ApiKeyStore>(make: impl AsyncFn() -> S) {
    check!(make;
        keys::a_key_is_found_by_its_hash_and_by_nothing_else,
        keys::only_the_first_key_of_all_is_the_first,
        keys::a_hash_is_of_one_key_only,
        keys::keys_are_listed_newest_first_page_by_page_and_are_their_tenants_own,
        keys::a_revoked_key_is_revoked_once_and_only_by_its_tenant,
        keys::a_rotated_key_overlaps_with_its_successor_and_then_ends,
        keys::what_cannot_be_rotated_gets_no_successor,
    );
}

/// Records of model calls.
pub async fn decisions<S: DecisionLog>(make: impl AsyncFn() -> S) {
    check!(make;
        decisions::decisions_are_read_back_as_they_were,
        decisions::decisions_are_found_by_run_and_by_key,
        decisions::decisions_are_their_tenants_own,
        decisions::decisions_are_summed_by_profile_and_model,
        decisions::too_large_a_batch_of_decisions_is_refused,
    );
}

/// Circuits of models that processes share.
pub async fn circuits<S: ModelCircuitStore>(make: impl AsyncFn() -> S) {
    check!(make;
        circuits::the_last_word_on_a_circuit_counts,
        circuits::an_older_word_on_a_circuit_changes_nothing,
    );
}

/// Circuits of services that processes share.
pub async fn service_circuits<S: ServiceCircuitStore>(make: impl AsyncFn() -> S) {
    check!(make;
        circuits::failures_of_a_service_are_counted_over_all_who_tell,
        circuits::the_last_word_on_a_services_circuit_counts,
    );
}

/// Rate limits.
pub async fn rate_limits<S: RateLimitStore>(make: impl AsyncFn() -> S) {
    check!(make;
        rate_limits::a_limit_lets_its_number_through_and_then_says_when,
        rate_limits::no_stretch_of_time_has_more_calls_than_the_limit,
        rate_limits::calls_that_wait_come_back_once_each_in_the_order_they_asked,
        rate_limits::a_turn_nobody_came_for_lapses,
        rate_limits::a_call_one_limit_holds_back_takes_no_turn_of_the_others,
        rate_limits::tenants_and_names_count_apart,
        rate_limits::many_who_ask_at_once_get_the_limit_and_no_more,
        rate_limits::a_limit_that_changes_counts_what_was_before,
        rate_limits::a_clock_that_is_set_back_holds_nobody_up_for_long,
        rate_limits::two_limits_of_one_name_are_refused_and_nothing_is_counted,
    );
}

/// Cached tool results.
pub async fn tool_cache<S: ToolCache>(make: impl AsyncFn() -> S) {
    check!(make;
        tool_cache::an_answer_is_found_until_it_is_over,
        tool_cache::the_newest_answer_to_a_call_is_found,
    );
}

/// Documents in chunks.
pub async fn index<S: DocumentIndex>(make: impl AsyncFn() -> S) {
    check!(make;
        index::documents::a_document_is_read_back_with_its_revision,
        index::documents::the_same_document_again_is_no_revision,
        index::documents::a_changed_document_is_the_next_revision,
        index::documents::documents_are_listed_by_name_behind_a_place,
        index::documents::what_breaks_a_limit_is_refused_by_name,
        index::documents::a_removed_document_is_found_no_more,
        index::documents::one_persons_documents_go_and_nobody_elses,
        index::documents::what_began_before_a_person_was_forgotten_is_not_kept,
    );
    check!(make;
        index::generations::the_first_generation_answers_at_once,
        index::generations::the_next_is_built_beside_it_and_gone_on_with,
        index::generations::another_recipe_takes_the_place_of_a_build,
        index::generations::a_build_answers_once_every_document_is_laid_in_it,
        index::generations::what_changes_during_a_build_must_be_laid_in_it_too,
        index::generations::a_discarded_build_leaves_what_answers,
    );
    check!(make;
        index::index_write::pieces_are_found_once_the_last_is_laid,
        index::index_write::a_half_laid_document_is_gone_on_with,
        index::index_write::a_new_revision_takes_the_place_of_the_old_at_once,
        index::index_write::an_overtaken_laying_writes_nothing,
        index::index_write::pieces_of_a_removed_document_never_become_those_of_another_of_its_name,
        index::index_write::a_vector_of_another_space_is_refused,
        index::index_write::a_document_without_text_is_laid_without_pieces,
        index::index_write::counts_are_of_what_can_be_found,
    );
    check!(make;
        index::search::the_nearest_come_first,
        index::search::the_rarer_word_weighs_more,
        index::search::a_word_of_the_heading_is_found,
        index::search::no_syntax_is_read_into_words,
        index::search::filters_ask_for_values_and_persons,
        index::search::a_filter_that_little_meets_still_fills_the_answer,
        index::search::no_more_is_found_than_was_asked_for,
        index::search::passages_tell_where_they_are_from,
        index::search::nothing_crosses_tenants_or_collections,
        index::search::another_tenants_words_change_no_score,
    );
}

/// Embeddings of texts.
pub async fn embedder<E: Embedder>(make: impl AsyncFn() -> E) {
    check!(make;
        embedder::each_text_has_a_vector_of_length_one,
        embedder::nothing_in_nothing_out,
        embedder::the_same_text_has_the_same_vector_alone_and_among_others,
        embedder::a_text_lies_nearer_to_its_like,
        embedder::hostile_text_has_a_vector_too,
    );
}

/// The task inbox, for items that belong to no run.
pub async fn desk<S: TaskInbox + ReadModel>(make: impl AsyncFn() -> S) {
    check!(make;
        task_inbox::an_item_that_is_open_is_not_opened_again,
        task_inbox::an_item_is_closed_by_its_own_tenant_and_may_be_opened_anew,
    );
}

/// The catalogue of tools, which must contain some.
pub async fn catalogue<C: ToolCatalogue>(make: impl AsyncFn() -> C) {
    check!(make;
        catalogue::every_tool_is_listed_once_in_the_order_of_its_name,
        catalogue::pages_of_a_list_are_the_list,
        catalogue::a_list_keeps_to_its_category,
        catalogue::words_are_looked_for_in_names_and_descriptions_in_whatever_case,
        catalogue::a_tool_is_described_by_any_of_its_names,
        catalogue::every_name_leads_to_a_tool_that_its_uses_are_counted_under,
        catalogue::nobody_may_call_what_is_not_there,
        catalogue::a_search_finds_a_tool_by_its_name_once_and_no_more_than_was_asked_for,
    );
}

/// Apps of an external service. At least one must be selected and looked up for [`fixtures::tenant`].
pub async fn connections<C: AppConnections>(make: impl AsyncFn() -> C) {
    check!(make;
        connections::apps_are_told_by_name_with_what_they_can_do,
        connections::actions_are_told_by_app_and_name,
        connections::a_search_finds_actions_and_no_more_than_was_asked_for,
        connections::what_is_not_chosen_is_refused,
        connections::a_person_is_sent_somewhere_and_the_account_is_its_tenants_alone,
        connections::an_account_is_forgotten_once_and_by_its_own_tenant,
        connections::looking_up_again_tells_of_each_app_and_loses_nothing,
    );
}

/// The same port without a configured service.
pub async fn connections_of_nothing<C: AppConnections>(make: impl AsyncFn() -> C) {
    check!(make; connections::without_a_service_there_is_nothing_to_connect);
}
