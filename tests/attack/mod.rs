//! What attackers try, each with its test. Some stand elsewhere:
//!
//! | attack | test |
//! | --- | --- |
//! | open redirect, redirect-URI tricks | [`redirects`], `bad_input::other_faults_at_authorize_are_redirected_to_loopback_and_trusted_hosts_only` |
//! | PKCE downgrade, code as refresh token, code injection, cross-client, cross-resource, mix-up | [`tokens`], `bad_input`, `refresh` |
//! | crafted approve links, CSRF, clickjacking, session fixation, user enumeration, look-alike names | [`pages`], by time: the token service's `an_unknown_user_costs_a_hash_too`, `flow::a_ticket_is_for_the_session_that_made_it_and_for_a_navigating_browser` |
//! | header injection, forged identity, request smuggling, log injection, store growth | [`wire`], `upstreams::nobody_can_claim_to_be_somebody_else` |

mod pages;
mod redirects;
mod tokens;
mod wire;
