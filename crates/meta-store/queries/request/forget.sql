DELETE FROM record
WHERE (part, instance, sequence) IN (
    SELECT record.part, record.instance, record.sequence
    FROM input CROSS JOIN record
    WHERE record.part = input.part AND record.instance = input.instance
      AND record.sequence < input.forget_below)
