-- A registry of {models} models, 20 a training, and {lines} lines of history over a year. Upon an empty one.
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TEMP TABLE number AS
    WITH RECURSIVE counted(n) AS (
        SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n + 1 < {models}
    )
    SELECT n, abs(random()) % 1000 / 1000.0 AS chance FROM counted;
INSERT INTO root (root_id, path) VALUES (1, '/srv/models');
INSERT INTO optimizer
    SELECT n + 1, CASE n % 3 WHEN 0 THEN 'Adam' WHEN 1 THEN 'SGD' ELSE 'RMSprop' END,
        0.0001 * (n + 1), '{{"beta_1":0.9,"learning_rate":' || (0.0001 * (n + 1)) || '}}', 'o' || n
    FROM number WHERE n < 60;
INSERT INTO architecture
    SELECT n + 1, '{{"class_name":"Sequential","config":{{"layers":[]}}}}', 'a' || n, 'l' || n
    FROM number WHERE n < 40;
INSERT INTO model (model_id, root_id, path, folder, model_name, interval, interval_seconds, ticker,
        type, format, family, step, state, size_bytes, files, fingerprint, modified_at,
        first_seen_at, placed_at, changed_at, keras_version, backend, class_name, depth,
        input_shape, output_shape, parameters, variables, dtype, loss, metrics, custom_objects,
        optimizer_type, optimizer_id, architecture_id)
    SELECT n + 1, 1, folder || '/' || name || '.h5', folder,
        name, interval, seconds, ticker, type, 'h5',
        folder || '/lstm-' || training || '-*.h5', n % 20,
        CASE n % 50 WHEN 0 THEN 'missing' ELSE 'present' END, 20000 + n * 7919 % 100000, 1,
        'f' || n, at, at, at, at, '3.15.1', 'tensorflow', 'Sequential', 3, '[null,60,8]',
        '[null,1]', 5281 + n % 7, 9, 'float32', 'mse', '["mae"]', '[]',
        CASE n % 60 % 3 WHEN 0 THEN 'Adam' WHEN 1 THEN 'SGD' ELSE 'RMSprop' END, n % 60 + 1,
        n % 40 + 1
    FROM (
        SELECT *, interval || '/' || ticker || '/' || type AS folder,
            'lstm-' || training || '-' || (n % 20) AS name
        FROM (
            SELECT n, n / 20 AS training,
                strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || n || ' minutes') AS at,
                CASE n / 20 % 4 WHEN 0 THEN '15m' WHEN 1 THEN '1h' WHEN 2 THEN '4h' ELSE '1d' END
                    AS interval,
                CASE n / 20 % 4 WHEN 0 THEN 900 WHEN 1 THEN 3600 WHEN 2 THEN 14400 ELSE 86400 END
                    AS seconds,
                'T' || (n / 80 % 200) AS ticker,
                CASE n / 16000 % 3 WHEN 0 THEN 'LSTM' WHEN 1 THEN 'GRU' ELSE 'CNN' END AS type
            FROM number
        )
    );
INSERT INTO model_file
    SELECT model_id, 'h5', path, size_bytes, 0, 0, model_id, 1 FROM model;
INSERT INTO result (model_id, fingerprint, metric, value, source, recorded_at)
    SELECT n + 1, CASE n % 10 WHEN 0 THEN 'old' ELSE 'f' || n END, metric, factor * chance,
        'record', '2026-01-01T00:00:00.000Z'
    FROM number, (SELECT 'sharpe' AS metric, 3.0 AS factor UNION SELECT 'val_loss', 1.0);
INSERT INTO history (at, model_id, path, verb, cause, actor)
    WITH RECURSIVE counted(n) AS (SELECT {lines} UNION ALL SELECT n - 1 FROM counted WHERE n > 1)
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || (n * 31536000.0 / {lines}) || ' seconds'),
        n % {models} + 1, '1h/T/LSTM/m-' || (n % {models}) || '.h5',
        CASE n % 9 WHEN 0 THEN 'registered' ELSE 'updated' END, 'event', 'daemon' FROM counted;
