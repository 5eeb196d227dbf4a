-- The views, made anew with every revision. Each statement ends in a line of its own with a semicolon.

CREATE VIEW adam_opt AS
SELECT
    optimizer_id,
    learning_rate,
    json_extract(config, '$.amsgrad') AS amsgrad,
    coalesce(json_extract(config, '$.decay'), json_extract(config, '$.weight_decay')) AS decay,
    json_extract(config, '$.beta_1') AS b1,
    json_extract(config, '$.beta_2') AS b2,
    json_extract(config, '$.epsilon') AS epsilon
FROM optimizer
WHERE optimizer_type IN ('Adam', 'AdamW', 'Adamax', 'Nadam')
;

CREATE VIEW present_model AS
SELECT
    model.model_id,
    root.path || '/' || model.path AS absolute_path,
    model.path,
    model.model_name,
    model.interval,
    model.interval_seconds,
    model.ticker,
    model.type,
    model.format,
    model.family,
    model.step,
    model.size_bytes,
    model.files,
    model.fingerprint,
    model.modified_at,
    model.first_seen_at,
    model.changed_at,
    model.keras_version,
    model.backend,
    model.class_name,
    model.depth,
    model.input_shape,
    model.output_shape,
    CASE WHEN json_type(model.input_shape, '$[0]') = 'array'
        THEN json_extract(model.input_shape, '$[0][0]')
        ELSE json_extract(model.input_shape, '$[0]') END AS batch_size,
    -- the middle of (batch, time steps, features)
    CASE
        WHEN json_type(model.input_shape, '$[0]') = 'array'
            AND json_array_length(model.input_shape, '$[0]') = 3
        THEN json_extract(model.input_shape, '$[0][1]')
        WHEN json_array_length(model.input_shape) = 3
        THEN json_extract(model.input_shape, '$[1]') END AS time_steps,
    model.parameters,
    model.variables,
    model.dtype,
    model.loss,
    model.metrics,
    model.custom_objects,
    model.optimizer_id,
    model.optimizer_type,
    optimizer.learning_rate,
    optimizer.config AS optimizer_config,
    model.architecture_id,
    model.ensemble,
    model.ensemble_type,
    model.resume,
    model.verified,
    model.verified_at,
    model.pinned,
    model.note,
    (
        SELECT json_group_object(newest.metric, newest.value)
        FROM (
            SELECT result.metric, result.value, max(result.result_id)
            FROM result
            WHERE result.model_id = model.model_id AND result.fingerprint = model.fingerprint
            GROUP BY result.metric
        ) AS newest
    ) AS results
FROM model
-- Every model has a root. An outer join, like the next one, costs nothing where it is not asked for.
LEFT JOIN root ON root.root_id = model.root_id
LEFT JOIN optimizer ON optimizer.optimizer_id = model.optimizer_id
WHERE model.state = 'present' AND model.copy_of IS NULL
;

CREATE VIEW ensemble_member AS
SELECT
    source.model_id,
    copy.ensemble_type,
    copy.path AS copy_path,
    copy.fingerprint IS source.fingerprint AS same_content
FROM model AS copy
JOIN model AS source ON source.model_id = copy.copy_of
WHERE copy.state = 'present'
;
