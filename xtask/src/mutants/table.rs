//! Which guards are taken away, and who has to notice.

use super::{Mutant, QUICK_SEEDS};

/// Seeds of `cargo xtask mutants`.
const MANY: Option<u64> = Some(1_000);
/// Found within a few seeds: each `cargo xtask test` plays them, too.
const FEW: Option<u64> = Some(QUICK_SEEDS);
/// It is in a place that the simulation does not have, or takes a fault that it does not play; or its twin holds.
const NO: Option<u64> = None;

const fn of(off: &'static [&'static str], seeds: Option<u64>, tests: &'static [&'static str]) -> Mutant {
    Mutant { off, seeds, tests }
}

/// Every mutant: first each guard alone, in the order in which they are listed, then some together.
pub const MUTANTS: &[Mutant] = &[
    of(
        &["StockUnits"],
        FEW,
        &[
            "shared::stock::memory::tests::two_buyers_and_the_last_unit_one_wins",
            "tests::stock::two_buyers_and_the_last_unit_one_wins",
        ],
    ),
    of(
        &["LedgerUnits"],
        NO,
        &["shared::ledger::book::tests::the_ledgers_own_guard_refuses_what_the_stock_should_not_have_held"],
    ),
    of(
        &["SqlUnits"],
        NO,
        &[
            "shared::ledger::sql::tests::guards::the_statement_adds_no_units_beyond_the_capacity_whatever_the_book_has_counted",
        ],
    ),
    of(&["TableUnits"], NO, &["shared::ledger::sql::tests::the_database_itself_refuses_what_must_never_happen"]),
    of(
        &["StockLimit"],
        NO,
        &[
            "shared::stock::memory::tests::the_limit_per_customer_holds_over_all_their_holds",
            "tests::stock::the_limit_per_customer_holds_over_all_their_holds",
        ],
    ),
    of(&["LedgerLimit"], NO, &["shared::ledger::book::tests::the_limit_holds_per_customer_and_per_mail_address"]),
    of(
        &["PinOfOrder"],
        NO,
        &[
            "shared::stock::memory::tests::a_hold_is_nobodys_but_its_customers",
            "tests::stock::a_hold_is_nobodys_but_its_customers",
        ],
    ),
    of(
        &["PinOfCustomer"],
        NO,
        &[
            "shared::stock::memory::tests::a_hold_is_nobodys_but_its_customers",
            "tests::stock::a_hold_is_nobodys_but_its_customers",
        ],
    ),
    of(
        &["FreeOfCustomer"],
        NO,
        &[
            "shared::stock::memory::tests::a_hold_is_nobodys_but_its_customers",
            "tests::stock::a_hold_is_nobodys_but_its_customers",
        ],
    ),
    of(
        &["LonePin"],
        NO,
        &[
            "shared::stock::memory::tests::an_orphan_pin_is_freed_and_an_order_that_spoke_is_not",
            "tests::stock::an_orphan_pin_is_freed_and_an_order_that_spoke_is_not",
        ],
    ),
    of(&["OrphanHasNoOrder"], NO, &["worker::tests::sweeping::a_pin_whose_order_exists_is_left_alone"]),
    of(
        &["AcceptInTime"],
        NO,
        &["worker::tests::sweeping::an_accept_that_comes_after_its_pin_was_freed_refuses_itself"],
    ),
    of(
        &["UndoOwnPin"],
        NO,
        &["web::charges::tests::a_call_does_not_undo_the_pin_of_which_a_quicker_one_has_made_the_order"],
    ),
    of(&["LedgerHold"], NO, &["shared::ledger::book::tests::a_hold_serves_one_order"]),
    of(
        &["TableHold"],
        NO,
        &["shared::ledger::sql::tests::guards::the_tables_refuse_a_second_one_of_what_there_may_be_once"],
    ),
    of(
        &["Epoch"],
        NO,
        &["shared::ledger::book::tests::holds_of_an_older_epoch_late_accepts_and_paused_sales_are_refused"],
    ),
    of(&["RunId"], NO, &["tests::stock::loss::a_server_restarted_from_an_old_snapshot_is_not_sold_from_until_rebuilt"]),
    of(
        &["StockVersion"],
        NO,
        &[
            "shared::stock::memory::tests::settling_twice_or_late_changes_nothing",
            "tests::stock::settling_twice_or_late_changes_nothing",
        ],
    ),
    of(
        &["ReturnedOnce"],
        FEW,
        &[
            "shared::stock::memory::tests::units_that_were_refunded_come_back_once",
            "tests::stock::units_that_were_refunded_come_back_once",
        ],
    ),
    of(
        &["SamePurchase"],
        NO,
        &["shared::ledger::book::tests::double_click_same_client_attempt_id_same_job_same_answer"],
    ),
    of(&["TokenOnce"], NO, &["shared::ledger::book::tests::double_click_same_client_attempt_id_same_job_same_answer"]),
    of(
        &["TableToken"],
        NO,
        &["shared::ledger::sql::tests::guards::the_tables_refuse_a_second_one_of_what_there_may_be_once"],
    ),
    of(
        &["AttemptAfterDecline"],
        MANY,
        &["shared::ledger::book::tests::double_click_same_client_attempt_id_same_job_same_answer"],
    ),
    of(&["ClaimByState"], MANY, &["shared::order::state::tests::every_state_and_event_has_the_answer_of_the_table"]),
    of(
        &["ClaimByAttempt"],
        NO,
        &["shared::ledger::book::tests::an_attempt_that_is_not_the_newest_is_never_sent_again"],
    ),
    of(
        &["OrderVersion"],
        NO,
        &["shared::ledger::sql::tests::guards::a_change_on_top_of_a_version_that_is_no_more_is_not_written"],
    ),
    of(
        &["Receipt"],
        NO,
        &[
            "shared::ledger::sql::tests::a_purchase_whose_commit_went_unanswered_is_told_as_new_whether_it_happened_or_not",
        ],
    ),
    of(&["KeyStays"], MANY, &["worker::tests::deaths::a_worker_killed_after_stripe_said_yes_charges_once"]),
    of(
        &["StoredBytes"],
        NO,
        &["worker::tests::deaths::a_deploy_between_send_and_retry_sends_the_bytes_of_the_old_build"],
    ),
    of(
        &["KeyAge"],
        NO,
        &["worker::tests::deaths::a_worker_killed_more_than_23_hours_ago_is_looked_after_first_and_never_sent_again"],
    ),
    of(
        &["UnknownIsNoDecline"],
        MANY,
        &["worker::tests::answers::timeout_or_5xx_is_unknown_keeps_the_stock_and_is_never_shown_as_failed"],
    ),
    of(
        &["OwnAttempt"],
        NO,
        &["shared::order::state::tests::while_a_request_is_unanswered_other_attempts_failures_settle_nothing"],
    ),
    of(
        &["Unanswered"],
        NO,
        &["worker::tests::webhooks::an_earlier_attempts_failure_does_not_settle_a_request_that_is_unanswered"],
    ),
    of(&["SuccessStays"], NO, &["shared::order::state::tests::a_success_is_never_downgraded"]),
    of(
        &["AmountCompared"],
        NO,
        &[
            "shared::ledger::book::tests::another_amount_than_the_orders_is_not_fulfilled",
            "worker::tests::answers::amount_in_stripe_differs_from_the_order_is_not_fulfilled_but_set_aside",
        ],
    ),
    of(&["PaymentOfOrder"], NO, &["worker::tests::webhooks::an_order_that_the_event_names_wrongly_is_not_paid_by_it"]),
    of(
        &["PaidTwice"],
        NO,
        &["shared::ledger::book::tests::a_second_success_is_refunded_once_and_the_order_stays_paid"],
    ),
    of(
        &["MistakeOnce"],
        NO,
        &["shared::ledger::book::tests::a_second_success_is_refunded_once_and_the_order_stays_paid"],
    ),
    of(
        &["ClosingFirst"],
        FEW,
        &["shared::ledger::book::tests::stock_is_released_only_when_stripe_has_said_that_it_cannot_be_paid"],
    ),
    of(
        &["StripesWord"],
        MANY,
        &["worker::tests::buyers::cancel_refused_because_it_succeeded_means_paid_and_the_unit_is_kept"],
    ),
    of(
        &["PagesEnd"],
        MANY,
        &["worker::tests::checkout::who_never_pays_there_loses_the_stock_only_when_stripe_has_ended_the_page"],
    ),
    of(
        &["OneLivePayable"],
        MANY,
        &["worker::tests::checkout::after_a_declined_card_the_page_is_made_only_when_the_card_can_pay_no_more"],
    ),
    of(&["EarlierPayable"], NO, &["shared::ledger::memory::tests::the_memory_ledger_does_what_every_ledger_must_do"]),
    of(&["PageEndedFirst"], MANY, &["worker::tests::checkout::who_comes_back_pays_with_a_card_once_the_page_is_dead"]),
    of(&["LatePolicy"], NO, &["shared::ledger::memory::tests::the_memory_ledger_does_what_every_ledger_must_do"]),
    of(&["ShownAgain"], NO, &["worker::tests::deaths::a_worker_killed_anywhere_while_settling_leaves_nothing_undone"]),
    of(&["PublishAfterCommit"], FEW, &[]),
    of(&["JoinThenSnapshot"], MANY, &[]),
    of(
        &["ToldVersion"],
        NO,
        &["web::serve::tests::an_old_message_that_comes_late_does_not_make_a_room_forget_what_it_was_told"],
    ),
    of(
        &["RoomsCompared"],
        MANY,
        &["web::serve::tests::an_order_that_came_and_ended_within_a_gap_is_told_to_the_tab_at_the_other_door"],
    ),
    of(&["GapHeeded"], MANY, &["web::serve::tests::a_subscription_that_has_lost_messages_has_its_rooms_compared"]),
    of(
        &["InboxOnce"],
        NO,
        &[
            "worker::tests::missing::an_event_is_stored_and_queued_once_however_often_it_is_listed",
            "shared::ledger::sql::tests::the_sqlite_ledger_does_what_every_ledger_must_do",
        ],
    ),
    of(
        &["JobOnce"],
        NO,
        &[
            "shared::queue::memory::tests::a_key_is_taken_until_its_job_is_done",
            "tests::queue::a_key_is_taken_until_its_job_is_done",
        ],
    ),
    of(
        &["Fence"],
        NO,
        &[
            "shared::queue::memory::tests::a_lost_lease_pushes_no_follow_ups",
            "tests::queue::a_lost_lease_pushes_no_follow_ups",
        ],
    ),
    of(
        &["Lease"],
        MANY,
        &[
            "shared::queue::memory::tests::a_renewed_lease_does_not_lapse",
            "tests::queue::a_renewed_lease_does_not_lapse",
        ],
    ),
    of(
        &["RefundRequestOnce"],
        NO,
        &["shared::ledger::memory::tests::the_memory_ledger_does_what_every_ledger_must_do"],
    ),
    of(&["RefundSum"], NO, &["shared::ledger::memory::tests::the_memory_ledger_does_what_every_ledger_must_do"]),
    of(
        &["TableRefundSum"],
        NO,
        &["shared::ledger::sql::tests::guards::the_tables_refuse_a_second_one_of_what_there_may_be_once"],
    ),
    of(
        &["TableRefundRequest"],
        NO,
        &["shared::ledger::sql::tests::guards::the_tables_refuse_a_second_one_of_what_there_may_be_once"],
    ),
    of(
        &["TableRefundAtStripe"],
        NO,
        &["shared::ledger::sql::tests::guards::the_tables_refuse_a_second_one_of_what_there_may_be_once"],
    ),
    of(
        &["TableMistakeOnce"],
        NO,
        &["shared::ledger::sql::tests::guards::the_tables_refuse_a_second_one_of_what_there_may_be_once"],
    ),
    of(
        &["TableTickets"],
        NO,
        &["shared::ledger::sql::tests::guards::the_tables_refuse_a_second_one_of_what_there_may_be_once"],
    ),
    of(&["TicketOnce"], NO, &["shared::ledger::memory::tests::the_memory_ledger_does_what_every_ledger_must_do"]),
    of(&["WholeOrderVoid"], FEW, &["shared::ledger::memory::tests::the_memory_ledger_does_what_every_ledger_must_do"]),
    of(
        &["RefundKeyStays"],
        NO,
        &["worker::tests::refunds::a_worker_killed_around_stripes_answer_gives_the_money_back_once"],
    ),
    of(
        &["RefundLookedUp"],
        NO,
        &["worker::tests::refunds::what_a_stored_500_or_a_forgotten_key_hides_is_looked_up_before_it_is_sent_again"],
    ),
    of(&["RefundKnown"], MANY, &["shared::ledger::memory::tests::the_memory_ledger_does_what_every_ledger_must_do"]),
    of(
        &["RefundOfAnother"],
        NO,
        &[
            "worker::tests::refunds::two_workers_that_hear_of_an_empty_balance_at_once_skip_no_key_and_give_the_money_back_once",
        ],
    ),
    of(
        &["SignedRoom"],
        NO,
        &[
            "web::session::tests::a_cookie_is_no_token_and_a_changed_one_is_nothing",
            "tests::bad_input::strangers::a_room_can_be_entered_only_with_the_signed_cookie_or_token",
        ],
    ),
    of(&["SignedPurpose"], NO, &["web::session::tests::a_cookie_is_no_token_and_a_changed_one_is_nothing"]),
    of(
        &["OrderOfCustomer"],
        NO,
        &["tests::bad_input::strangers::somebody_elses_order_is_not_there_and_its_id_is_a_bare_conflict"],
    ),
    of(
        &["SameSite"],
        NO,
        &["tests::bad_input::strangers::a_cookie_counts_only_from_a_page_of_ours_and_a_token_from_anywhere"],
    ),
    of(&["OperatorKey"], NO, &["web::operator::tests::only_the_whole_key_opens_and_no_key_opens_nothing"]),
    of(
        &["RightPassword"],
        NO,
        &["shared::access::password::tests::only_the_very_password_is_verified_and_each_hash_has_its_own_salt"],
    ),
    of(
        &["LoginsLimited"],
        NO,
        &["web::limits::tests::logins_are_limited_by_name_and_network_together_and_by_network_alone"],
    ),
    of(&["SessionEnds"], NO, &["shared::access::session::tests::a_session_ends_when_it_idles_and_at_its_longest"]),
    of(&["SessionOfNow"], NO, &["shared::access::memory::tests::access_in_memory_does_what_it_must"]),
    of(
        &["Permitted"],
        NO,
        &["tests::access::permissions::each_role_refunds_only_if_the_table_says_so_and_the_story_says_who"],
    ),
    of(&["LookerMay"], NO, &["tests::board::live::a_look_ends_with_its_session_and_says_so"]),
    of(&["ReviewOnly"], NO, &["worker::tests::reviews::to_refund_gives_another_sum_back_once_and_frees_the_stock"]),
    of(&["AskedFirst"], NO, &["worker::tests::letters::the_trail_says_which_job_and_what_came_of_it"]),
    of(
        &["LineBounded"],
        NO,
        &["web::admission::tests::so_many_are_let_in_others_wait_in_turn_and_the_rest_are_sent_away_at_once"],
    ),
    of(&["TurnKept"], NO, &["web::admission::tests::who_comes_when_told_finds_room_where_newcomers_do_not"]),
    of(&["SharedQuota"], NO, &["tests::quota::processes_that_count_together_allow_a_burst_and_not_one_more"]),
    of(&["KeyNeverManages"], NO, &["shared::access::permission::tests::a_key_never_manages_and_may_do_something"]),
    of(&["LastOwner"], NO, &["shared::access::change::tests::the_last_owner_stays_and_stays_owner"]),
    of(
        &["EventSignature"],
        NO,
        &[
            "shared::stripe::webhook::tests::a_changed_body_or_time_is_a_forgery_and_a_stranger_does_not_hear_that_it_is_stale",
            "tests::webhooks::doors::a_body_without_a_good_signature_is_refused_and_nothing_of_it_is_kept",
        ],
    ),
    of(
        &["EventAge"],
        NO,
        &["shared::stripe::webhook::tests::a_signature_that_openssl_computes_is_believed_for_five_minutes"],
    ),
    of(&["Livemode"], NO, &["tests::webhooks::doors::live_keys_take_live_events_only"]),
    of(&["SweepOwed"], NO, &["worker::tests::sweeping::an_owed_charge_that_nobody_queued_is_queued_again"]),
    of(&["SweepLostJobs"], NO, &["worker::tests::losing::a_worker_that_starts_queues_what_was_lost_before_it_came"]),
    of(
        &["SweepLostStock"],
        NO,
        &["worker::tests::losing::a_worker_that_finds_the_stock_lost_rebuilds_it_and_queues_what_is_owed"],
    ),
    of(&["SweepOrphans"], NO, &["worker::tests::sweeping::a_pin_whose_order_never_reached_the_ledger_is_freed"]),
    of(&["SweepInbox"], NO, &["worker::tests::webhooks::an_event_whose_push_was_lost_is_queued_again_by_the_sweep"]),
    of(
        &["SweepDeadLetters"],
        NO,
        &["worker::tests::webhooks::a_dead_letter_is_raised_once_and_keeps_no_other_event_from_its_turn"],
    ),
    of(
        &["SweepSilence"],
        NO,
        &["worker::tests::authentication::a_page_that_is_closed_and_an_event_that_is_lost_are_made_good_by_the_sweep"],
    ),
    of(
        &["SweepDue"],
        FEW,
        &["worker::tests::authentication::who_never_answers_loses_the_stock_only_when_stripe_has_canceled"],
    ),
    of(
        &["SweepClosing"],
        MANY,
        &[
            "worker::tests::buyers::stock_of_a_pending_payment_is_released_only_when_stripe_has_said_that_it_cannot_be_paid",
        ],
    ),
    of(&["SweepRefunds"], FEW, &["worker::tests::refunds::a_refund_is_sent_once_and_its_room_is_told"]),
    of(
        &["SweepReturned"],
        NO,
        &["worker::tests::refunds::units_that_may_be_sold_again_are_free_although_a_worker_dies_in_between"],
    ),
    of(
        &["SweepEvents"],
        MANY,
        &[
            "worker::tests::missing::a_stripe_that_throttles_the_list_is_left_alone_for_a_while_and_charges_go_on",
            "worker::tests::missing::while_webhooks_arrive_the_list_costs_a_page_or_so_a_minute",
        ],
    ),
    of(
        &["SweepPayments"],
        NO,
        &[
            "worker::tests::comparing::the_first_comparison_is_about_a_day_and_later_ones_about_the_time_since_and_an_hour",
        ],
    ),
    of(&["SweepDrift"], MANY, &["worker::tests::drifting::the_sweep_looks_for_drift_by_itself"]),
    of(
        &["StockLimit", "LedgerLimit"],
        NO,
        &["tests::contract::buying::the_limit_counts_by_customer_and_by_person_whatever_they_call_themselves"],
    ),
    of(&["StockUnits", "LedgerUnits"], FEW, &[]),
    of(&["LonePin", "OrphanHasNoOrder", "LedgerUnits"], FEW, &[]),
    of(&["UndoOwnPin", "LedgerUnits"], MANY, &[]),
    of(&["SweepOwed", "SweepLostJobs", "SweepInbox", "SweepEvents", "SweepPayments"], MANY, &[]),
];
