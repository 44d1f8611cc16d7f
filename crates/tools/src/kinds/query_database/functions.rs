//! Functions without side effects, which a query may call.
//!
//! This is an allow list, not a deny list: a function nobody considered is refused (`pg_read_file`, `dblink`,
//! `nextval`, `query_to_xml`, or one from an extension), and the operator may add it by name.

use std::collections::BTreeSet;

use super::statement::SqlDialect;

/// In SQLite and in PostgreSQL.
const BOTH: &str = "
    abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling coalesce concat concat_ws cos cosh count
    cume_dist current_date current_time current_timestamp degrees dense_rank exp first_value floor format lag
    last_value lead length ln log log10 lower ltrim max min mod nth_value ntile nullif octet_length
    percent_rank pi power radians rank replace round row_number rtrim sign sin sinh sqrt substr sum tan tanh
    trim trunc upper
";

/// Includes operators that SQLite implements as functions.
const SQLITE: &str = "
    -> ->> bm25 char date datetime glob group_concat hex highlight if ifnull iif instr json json_array
    json_array_length json_each json_error_position json_extract json_group_array json_group_object
    json_insert json_object json_patch json_pretty json_quote json_remove json_replace json_set json_tree
    json_type json_valid jsonb jsonb_array jsonb_each jsonb_extract jsonb_group_array jsonb_group_object
    jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace jsonb_set jsonb_tree julianday like
    likelihood likely log2 match median percentile percentile_cont percentile_disc pow printf quote random
    snippet sqlite_version strftime string_agg substring time timediff total typeof unhex unicode unistr
    unixepoch unlikely zeroblob
";

/// PostgreSQL's own functions, of its schema `pg_catalog`.
const POSTGRES: &str = "
    age any_value array_agg array_append array_cat array_dims array_length array_lower array_ndims
    array_position array_positions array_prepend array_remove array_replace array_to_json array_to_string
    array_upper ascii bit_and bit_length bit_or bit_xor bool_and bool_or btrim cardinality cbrt char_length
    character_length chr clock_timestamp convert_from convert_to corr cot covar_pop covar_samp date_bin
    date_part date_trunc daterange decode div encode erf every extract factorial gcd gen_random_uuid
    generate_series generate_subscripts get_bit get_byte greatest initcap int4range int8range isempty isfinite
    json_agg json_array_elements json_array_elements_text json_array_length json_build_array json_build_object
    json_each json_each_text json_extract_path json_extract_path_text json_object json_object_agg
    json_object_keys json_strip_nulls json_to_record json_to_recordset json_typeof jsonb_agg
    jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object
    jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object
    jsonb_object_agg jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query
    jsonb_path_query_array jsonb_path_query_first jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls
    jsonb_to_record jsonb_to_recordset jsonb_typeof justify_days justify_hours justify_interval lcm least left
    localtime localtimestamp lower_inc lower_inf lpad make_date make_interval make_time make_timestamp
    make_timestamptz md5 min_scale mode normalize now num_nonnulls num_nulls numnode numrange overlay
    parse_ident percentile_cont percentile_disc phraseto_tsquery plainto_tsquery position quote_ident
    quote_literal quote_nullable random range_agg range_intersect_agg range_merge regexp_count regexp_instr
    regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table
    regexp_substr regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy
    repeat reverse right row row_to_json rpad scale setweight sha224 sha256 sha384 sha512 similarity
    split_part starts_with statement_timestamp stddev stddev_pop stddev_samp string_agg string_to_array
    string_to_table strip strpos substring timeofday timezone to_ascii to_char to_date to_hex to_json to_jsonb
    to_number to_timestamp to_tsquery to_tsvector transaction_timestamp translate trim_array trim_scale
    ts_headline ts_rank ts_rank_cd tsrange tstzrange tsvector_to_array unnest upper_inc upper_inf var_pop
    var_samp variance websearch_to_tsquery width_bucket word_similarity
";

/// Returns whether a query may call the function of this name, in the database's own spelling. `own` are the
/// functions that the settings add.
pub(super) fn may_call(dialect: SqlDialect, name: &str, own: &BTreeSet<String>) -> bool {
    let special = match dialect {
        SqlDialect::Sqlite => SQLITE,
        SqlDialect::Postgres => POSTGRES,
    };
    let mut known = BOTH.split_whitespace().chain(special.split_whitespace());
    known.any(|known| known == name) || own.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_may_be_called() {
        let own = BTreeSet::from(["tax_of".to_owned()]);
        for (dialect, name, may) in [
            (SqlDialect::Sqlite, "json_extract", true),
            (SqlDialect::Sqlite, "load_extension", false),
            (SqlDialect::Sqlite, "generate_series", false),
            (SqlDialect::Postgres, "generate_series", true),
            (SqlDialect::Postgres, "tax_of", true),
            (SqlDialect::Postgres, "pg_sleep", false),
        ] {
            assert_eq!(may_call(dialect, name, &own), may, "{name}");
        }
    }
}
