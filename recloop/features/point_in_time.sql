/* Feast's point-in-time join, by index (Jinja, filled in by Feast; see `store.py`).

   What never expires has no lower bound in time: Feast's own join reads every row that an entity ever had,
   with all its lists, and keeps the latest. Here each row of the entity query looks into the primary key
   for it. What expires is bounded by its time to live, and joined at once. */
WITH entity AS MATERIALIZED (
    SELECT asked.*, row_number() OVER () AS entity_row
    FROM {% if use_cte %}({{ left_table_query_string }}){% else %}{{ left_table_query_string }}{% endif %} AS asked
)
{% set at = 'entity."' ~ entity_df_event_timestamp_col ~ '"' %}
SELECT "{{ final_output_feature_names | join('", "') }}"
FROM entity
{% for view in featureviews %}
{% set stamp = 'known."' ~ view.timestamp_field ~ '"' %}
{% set newest = stamp ~ ' DESC' ~ (', known."' ~ view.created_timestamp_column ~ '" DESC' if view.created_timestamp_column else '') %}
{% set lifetime = view.ttl ~ " * interval '1 second'" %}
{% if view.ttl %}
LEFT JOIN (
    SELECT DISTINCT ON (entity_row) entity_row
{% else %}
LEFT JOIN LATERAL (
    SELECT NULL
{% endif %}
    {% for feature in view.features %}
        , known."{{ feature }}" AS "{% if full_feature_names %}{{ view.name }}__{% endif %}{{ view.field_mapping.get(feature, feature) }}"
    {% endfor %}
    FROM {% if view.ttl %}entity JOIN {% endif %}{{ view.table_subquery }} AS known {% if view.ttl %}ON TRUE{% endif %}
    WHERE {{ stamp }} <= {{ at }}
    {% for key in view.entities %}
        AND known."{{ key }}" = entity."{{ key }}"
    {% endfor %}
    {% if filter_by_created_timestamp and view.created_timestamp_column %}
        AND known."{{ view.created_timestamp_column }}" <= {{ at }}
    {% endif %}
    {% if view.ttl %}
        AND {{ stamp }} >= {{ at }} - {{ lifetime }}
        AND {{ stamp }} <= (SELECT max({{ at }}) FROM entity)
        AND {{ stamp }} >= (SELECT min({{ at }}) FROM entity) - {{ lifetime }}
    ORDER BY entity_row, {{ newest }}
) AS "{{ view.name }}" USING (entity_row)
    {% else %}
    ORDER BY {{ newest }}
    LIMIT 1
) AS "{{ view.name }}" ON TRUE
    {% endif %}
{% endfor %}
