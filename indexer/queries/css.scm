(rule_set) @def.selector
(class_selector (class_name) @name.selector)
(id_selector (id_name) @name.selector)
(selectors (tag_name) @name.selector)
(selectors (pseudo_class_selector . (class_name) @name.selector))
(keyframes_statement (keyframes_name) @name.selector)
(keyframes_statement) @def.selector
(declaration) @def.variable
((property_name) @name.variable (#match? @name.variable "^--"))

(import_statement (string_value (string_content) @ref.import))
((plain_value) @ref.read (#match? @ref.read "^--"))
(function_name) @ref.call

(comment) @attach
