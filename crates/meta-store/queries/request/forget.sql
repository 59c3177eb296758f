-- why the instance: nothing lives below its mark. Without that bound each batch would walk over all that was forgotten
-- before and not yet vacuumed. So this comes before the mark is raised
DELETE FROM record
WHERE (part, instance, sequence) IN (
    SELECT record.part, record.instance, record.sequence
    FROM input CROSS JOIN instance CROSS JOIN record
    WHERE instance.part = input.part AND instance.id = input.instance
      AND record.part = input.part AND record.instance = input.instance
      AND record.sequence >= instance.forget_below AND record.sequence < input.forget_below)
